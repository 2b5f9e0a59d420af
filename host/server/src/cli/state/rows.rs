//! Rows and what differs between them, as lines of a table.

use serde_json::{Map, Value};
use statehouse_processor::{OperatorView, Row, Within};

use crate::format;

/// The longest cell of a table, in characters.
const CELL_CHARS_MAX: usize = 60;

/// What stands where there is nothing.
const NOTHING: &str = "-";

/// A value as a cell of a table: text as it is, everything else as JSON, cut if it is long.
pub(super) fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None => return NOTHING.to_owned(),
        // Text that would not stand in a line as it is, is quoted.
        Some(Value::String(text)) if !text.is_empty() && !text.chars().any(char::is_control) => {
            text.clone()
        }
        Some(other) => other.to_string(),
    };
    if text.chars().count() <= CELL_CHARS_MAX {
        return text;
    }
    text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

/// The state or timers of a row, its owner, and which one of the owner's it is.
pub(super) fn identity(view: &OperatorView, row: &Row<'_>) -> [String; 3] {
    let members = view.json_identity(row);
    let owner = match members.get("task") {
        Some(task) => format!("task {task}"),
        None => cell(members.get("key")),
    };
    let within = match row.within {
        Within::Timer(time, 0) => format::time(time),
        Within::Timer(time, namespace) => format!("{} ({namespace})", format::time(time)),
        _ => cell(members.get("map_key").or(members.get("element"))),
    };
    [view.name(row.part).to_owned(), owner, within]
}

/// A row's value.
pub(super) fn value(view: &OperatorView, row: &Row<'_>) -> String {
    match view.json(row).get("value") {
        Some(value) => cell(Some(value)),
        None => "set".to_owned(),
    }
}

/// When a row expires.
pub(super) fn expires(row: &Row<'_>) -> String {
    row.expires_ms.map_or_else(|| NOTHING.to_owned(), format::time)
}

/// One line of JSON Lines.
pub(super) fn json_line(object: Map<String, Value>) -> String {
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_are_short_and_stand_in_a_line() {
        assert_eq!(cell(None), "-");
        assert_eq!(cell(Some(&json!("tea house"))), "tea house");
        assert_eq!(cell(Some(&json!("a\nb"))), r#""a\nb""#);
        assert_eq!(cell(Some(&json!(""))), r#""""#);
        assert_eq!(cell(Some(&json!({ "a": [1, "x"] }))), r#"{"a":[1,"x"]}"#);
        let long = cell(Some(&json!("é".repeat(61))));
        assert_eq!((long.chars().count(), long.ends_with('…')), (60, true));
    }
}
