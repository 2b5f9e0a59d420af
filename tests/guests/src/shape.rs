//! Gives the rows of a JSON Lines file the types that the other operators take.

use statehouse::prelude::*;

/// One row of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    key: u64,
    value: serde_json::Value,
}

/// Reads `{"key": …, "value": …}` and emits it for the operator that the setting `for` names.
pub struct Shape {
    operator: String,
    numbers: KeyedOutput<u64, i64>,
    acts: KeyedOutput<u64, String>,
    alarms: KeyedOutput<String, (bool, i64)>,
    sizes: KeyedOutput<u64, u64>,
    left: KeyedOutput<String, i64>,
    right: KeyedOutput<String, String>,
    loose: Output<Json<Vec<u64>>>,
}

impl Operator for Shape {
    const NAME: &str = "shape";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.input("rows", Self::on_row);
        Shape {
            operator: setup.config("for").unwrap_or_default().to_owned(),
            numbers: setup.keyed_output("numbers"),
            acts: setup.keyed_output("acts"),
            alarms: setup.keyed_output("alarms"),
            sizes: setup.keyed_output("sizes"),
            left: setup.keyed_output("left"),
            right: setup.keyed_output("right"),
            loose: setup.output("loose"),
        }
    }
}

impl Shape {
    fn on_row(&mut self, row: Record<(), Json<Row>>) -> Result<()> {
        let Json(Row { key, value }) = row.value;
        match self.operator.as_str() {
            "raw" => self.acts.emit(&key, &serde_json::from_value(value)?),
            "alarms" => self.alarms.emit(&key.to_string(), &serde_json::from_value(value)?),
            "huge" => self.sizes.emit(&key, &serde_json::from_value(value)?),
            "junction" => {
                let key = key.to_string();
                if let Some(left) = value.get("left") {
                    self.left.emit(&key, &serde_json::from_value(left.clone())?)?;
                }
                if let Some(right) = value.get("right") {
                    self.right.emit(&key, &serde_json::from_value(right.clone())?)?;
                }
                match value.get("loose") {
                    Some(loose) => self.loose.emit(&Json(serde_json::from_value(loose.clone())?)),
                    None => Ok(()),
                }
            }
            _ => self.numbers.emit(&key, &serde_json::from_value(value)?),
        }
    }
}
