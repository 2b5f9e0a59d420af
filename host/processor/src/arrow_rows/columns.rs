//! The columns that rows become.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Float64Builder, Int64Builder, StringBuilder, UInt32Builder,
    UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use statehouse_operator::{Codec, Form};
use statehouse_state::{Cell, ValueLayout};

use crate::row::{Owner, Row, Within};
use crate::view::{OperatorView, Part};

/// The metadata of fields whose text is JSON.
pub(super) const FORM: (&str, &str) = ("statehouse.form", "json");

/// A column of cells.
enum Cells {
    Unsigned(UInt64Builder),
    Signed(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    /// Shown by the form of the row's own state.
    Json(StringBuilder),
}

impl Cells {
    /// Cells of one form; without one, of the forms of several states.
    fn new(form: Option<&Form>) -> Self {
        match form.filter(|form| !form.is_set()).map(|form| (form.layout, form.codec)) {
            Some((ValueLayout::U64, _)) => Self::Unsigned(UInt64Builder::new()),
            Some((ValueLayout::S64, _)) => Self::Signed(Int64Builder::new()),
            Some((ValueLayout::F64, _)) => Self::Float(Float64Builder::new()),
            Some((ValueLayout::Bytes, Codec::Text)) => Self::Text(StringBuilder::new()),
            Some((ValueLayout::Bytes, Codec::Raw)) => Self::Binary(BinaryBuilder::new()),
            _ => Self::Json(StringBuilder::new()),
        }
    }

    fn field(&self, name: &str) -> Field {
        let data_type = match self {
            Self::Unsigned(_) => DataType::UInt64,
            Self::Signed(_) => DataType::Int64,
            Self::Float(_) => DataType::Float64,
            Self::Text(_) | Self::Json(_) => DataType::Utf8,
            Self::Binary(_) => DataType::Binary,
        };
        let field = Field::new(name, data_type, true);
        match self {
            Self::Json(_) => {
                let (key, value) = FORM;
                field.with_metadata(HashMap::from([(key.to_owned(), value.to_owned())]))
            }
            _ => field,
        }
    }

    fn push(&mut self, cell: Option<(Cell<'_>, &Form)>) {
        match (self, cell) {
            (Self::Unsigned(to), Some((Cell::Word(word), _))) => to.append_value(word),
            (Self::Signed(to), Some((Cell::Word(word), _))) => to.append_value(word as i64),
            (Self::Float(to), Some((Cell::Word(word), _))) => to.append_value(f64::from_bits(word)),
            (Self::Binary(to), Some((Cell::Bytes(bytes), _))) => to.append_value(bytes),
            (Self::Text(to), Some((cell @ Cell::Bytes(bytes), form))) => {
                match str::from_utf8(bytes) {
                    Ok(text) => to.append_value(text),
                    Err(_) => to.append_value(form.render(cell).as_str().unwrap_or_default()),
                }
            }
            (Self::Json(to), Some((cell, form))) => to.append_value(form.render(cell).to_string()),
            (Self::Unsigned(to), _) => to.append_null(),
            (Self::Signed(to), _) => to.append_null(),
            (Self::Float(to), _) => to.append_null(),
            (Self::Text(to) | Self::Json(to), _) => to.append_null(),
            (Self::Binary(to), _) => to.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Unsigned(from) => Arc::new(from.finish()),
            Self::Signed(from) => Arc::new(from.finish()),
            Self::Float(from) => Arc::new(from.finish()),
            Self::Text(from) | Self::Json(from) => Arc::new(from.finish()),
            Self::Binary(from) => Arc::new(from.finish()),
        }
    }
}

/// Rows as columns. Which columns there are depends on the states: a column that no row could fill is left out.
pub(super) struct Columns {
    schema: SchemaRef,
    rows: usize,
    operator: StringBuilder,
    state: StringBuilder,
    timer: Option<StringBuilder>,
    task: Option<UInt32Builder>,
    key: Option<Cells>,
    map_key: Option<Cells>,
    element: Option<UInt64Builder>,
    value: Option<Cells>,
    expires: Option<Int64Builder>,
    time: Option<(Int64Builder, UInt64Builder)>,
}

impl Columns {
    pub(super) fn new(view: &OperatorView, part: Option<Part>) -> Self {
        let parts = part.map_or_else(|| view.parts(), |part| vec![part]);
        let any = |is: &dyn Fn(Part) -> bool| parts.iter().any(|part| is(*part));
        let is_list = |part| view.map_key_form(part).is_none() && view.is_collection(part);
        let cells = |of: &dyn Fn(Part) -> Option<Form>| {
            let forms: Vec<Form> = parts.iter().filter_map(|part| of(*part)).collect();
            match forms.as_slice() {
                [] => None,
                [form] if part.is_some() => Some(Cells::new(Some(form))),
                _ => Some(Cells::new(None)),
            }
        };
        let keyed = any(&|part| !matches!(part, Part::Task(_)));
        let mut columns = Self {
            schema: Arc::new(Schema::empty()),
            rows: 0,
            operator: StringBuilder::new(),
            state: StringBuilder::new(),
            timer: any(&|part| matches!(part, Part::Timer(_))).then(StringBuilder::new),
            task: any(&|part| matches!(part, Part::Task(_))).then(UInt32Builder::new),
            key: view.key_form().filter(|_| keyed).map(|form| Cells::new(Some(form))),
            map_key: cells(&|part| view.map_key_form(part).cloned()),
            element: any(&is_list).then(UInt64Builder::new),
            value: cells(&|part| view.value_form(part).cloned()),
            expires: any(&|part| view.expires(part)).then(Int64Builder::new),
            time: any(&|part| matches!(part, Part::Timer(_)))
                .then(|| (Int64Builder::new(), UInt64Builder::new())),
        };
        columns.schema = Arc::new(Schema::new(columns.fields()));
        columns
    }

    fn fields(&self) -> Vec<Field> {
        let plain = |name, data_type| Field::new(name, data_type, true);
        let mut fields = vec![plain("operator", DataType::Utf8), plain("state", DataType::Utf8)];
        fields.extend(self.timer.iter().map(|_| plain("timer", DataType::Utf8)));
        fields.extend(self.task.iter().map(|_| plain("task", DataType::UInt32)));
        fields.extend(self.key.iter().map(|cells| cells.field("key")));
        fields.extend(self.map_key.iter().map(|cells| cells.field("map_key")));
        fields.extend(self.element.iter().map(|_| plain("element", DataType::UInt64)));
        fields.extend(self.value.iter().map(|cells| cells.field("value")));
        fields.extend(self.expires.iter().map(|_| plain("expires_ms", DataType::Int64)));
        if self.time.is_some() {
            fields.push(plain("time", DataType::Int64));
            fields.push(plain("namespace", DataType::UInt64));
        }
        fields
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn push(&mut self, view: &OperatorView, row: &Row<'_>) {
        self.rows += 1;
        self.operator.append_value(view.id());
        let is_timer = matches!(row.part, Part::Timer(_));
        let name = view.name(row.part);
        self.state.append_option((!is_timer).then_some(name));
        if let Some(to) = &mut self.timer {
            to.append_option(is_timer.then_some(name));
        }
        let (key, task) = match row.owner {
            Owner::Key(key) => (view.key_form().map(|form| (key, form)), None),
            Owner::Task(task) => (None, Some(task)),
        };
        if let Some(to) = &mut self.task {
            to.append_option(task);
        }
        if let Some(to) = &mut self.key {
            to.push(key);
        }
        let (mut map_key, mut element, mut time) = (None, None, None);
        match row.within {
            Within::Only => {}
            Within::MapKey(key) => map_key = view.map_key_form(row.part).map(|form| (key, form)),
            Within::Element(number) => element = Some(number),
            Within::Timer(at, namespace) => time = Some((at, namespace)),
        }
        if let Some(to) = &mut self.map_key {
            to.push(map_key);
        }
        if let Some(to) = &mut self.element {
            to.append_option(element);
        }
        if let Some(to) = &mut self.value {
            to.push(row.value.zip(view.value_form(row.part)));
        }
        if let Some(to) = &mut self.expires {
            to.append_option(row.expires_ms);
        }
        if let Some((times, namespaces)) = &mut self.time {
            times.append_option(time.map(|(at, _)| at));
            namespaces.append_option(time.map(|(_, namespace)| namespace));
        }
    }

    /// The rows so far, as a batch.
    pub(super) fn take(&mut self) -> RecordBatch {
        let mut arrays: Vec<ArrayRef> =
            vec![Arc::new(self.operator.finish()), Arc::new(self.state.finish())];
        let mut put = |array: Option<ArrayRef>| arrays.extend(array);
        put(self.timer.as_mut().map(|from| Arc::new(from.finish()) as ArrayRef));
        put(self.task.as_mut().map(|from| Arc::new(from.finish()) as ArrayRef));
        put(self.key.as_mut().map(Cells::finish));
        put(self.map_key.as_mut().map(Cells::finish));
        put(self.element.as_mut().map(|from| Arc::new(from.finish()) as ArrayRef));
        put(self.value.as_mut().map(Cells::finish));
        put(self.expires.as_mut().map(|from| Arc::new(from.finish()) as ArrayRef));
        if let Some((times, namespaces)) = &mut self.time {
            put(Some(Arc::new(times.finish())));
            put(Some(Arc::new(namespaces.finish())));
        }
        self.rows = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .expect("every column has a field and a value for each row")
    }
}
