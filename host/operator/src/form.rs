//! The form of keys and values for people: how a cell is shown as JSON, and read from it.

use std::fmt;

use serde_json::{Value, json};
use statehouse_state::{
    Cell, KeyLayout, Merge, StateDeclaration, TaskStateDeclaration, ValueLayout,
};

use crate::description::{Codec, KeyType};
use crate::structure::{Elements, Structure};
use crate::{parse, render, structure};

const SIGN: u64 = 1 << 63;

/// A cell that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CellBuf {
    /// The 64 bits of a number.
    Word(u64),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl CellBuf {
    /// The cell.
    pub fn cell(&self) -> Cell<'_> {
        match self {
            Self::Word(word) => Cell::Word(*word),
            Self::Bytes(bytes) => Cell::Bytes(bytes),
        }
    }
}

impl From<Cell<'_>> for CellBuf {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Word(word) => Self::Word(word),
            Cell::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

/// How one kind of cells is shown and read.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// The layout.
    pub layout: ValueLayout,
    /// How to read bytes.
    pub codec: Codec,
    /// What is inside the bytes, if it is known.
    pub structure: Option<Structure>,
    /// Whether the bytes are a set that the host merges.
    set: bool,
}

impl Form {
    /// Cells of that layout and codec; `schema` is that of the description.
    pub fn new(layout: ValueLayout, codec: Codec, schema: Option<&str>) -> Self {
        Self { layout, codec, structure: schema.and_then(Structure::read), set: false }
    }

    /// Bytes without a meaning.
    pub fn raw() -> Self {
        Self::new(ValueLayout::Bytes, Codec::Raw, None)
    }

    /// The keys of a port.
    pub fn of_key(key: &KeyType) -> Self {
        Self::new(of_key_layout(key.layout), key.codec, key.schema.as_deref())
    }

    /// The values of a state.
    pub fn of_state(state: &StateDeclaration) -> Self {
        let codec = Codec::named(&state.codec);
        let set = state.merge == Some(Merge::SetUnion);
        Self { set, ..Self::new(state.value, codec, state.schema.as_deref()) }
    }

    /// The map keys of a state, if it has any.
    pub fn of_map_key(state: &StateDeclaration) -> Option<Self> {
        let codec = state.map_key_codec.as_deref().map_or(Codec::Raw, Codec::named);
        let layout = of_key_layout(state.map_key?);
        Some(Self::new(layout, codec, state.map_key_schema.as_deref()))
    }

    /// The values of a task state.
    pub fn of_task_state(state: &TaskStateDeclaration) -> Self {
        Self::new(state.value, Codec::named(&state.codec), state.schema.as_deref())
    }

    /// The map keys of a task state, if it has any.
    pub fn of_task_map_key(state: &TaskStateDeclaration) -> Option<Self> {
        let codec = state.map_key_codec.as_deref().map_or(Codec::Raw, Codec::named);
        let layout = of_key_layout(state.map_key?);
        Some(Self::new(layout, codec, state.map_key_schema.as_deref()))
    }

    /// Whether its bytes are shown as a list of elements.
    pub fn is_set(&self) -> bool {
        self.set && self.structure.as_ref().is_some_and(|structure| structure.elements.is_some())
    }

    /// A cell as JSON. What its codec cannot read is shown as bytes without a meaning, never lost.
    pub fn render(&self, cell: Cell<'_>) -> Value {
        let bytes = match cell {
            Cell::Word(word) => return render::word(self.layout, word),
            Cell::Bytes(bytes) => bytes,
        };
        match (&self.structure, self.set) {
            (Some(structure), true) if structure.elements.is_some() => {
                self.render_set(structure, bytes).unwrap_or_else(|| render::raw(bytes))
            }
            (structure, _) => render_bytes(self.codec, structure.as_ref(), bytes),
        }
    }

    /// A cell from JSON, in the form in which [`render`](Self::render) shows it.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse(&self, value: &Value) -> Result<CellBuf, String> {
        let refused = || format!("{value} is no {self}");
        Ok(match self.layout {
            ValueLayout::U64 => CellBuf::Word(value.as_u64().ok_or_else(refused)?),
            ValueLayout::S64 => CellBuf::Word(value.as_i64().ok_or_else(refused)? as u64),
            ValueLayout::F64 => CellBuf::Word(parse::float(value).ok_or_else(refused)?.to_bits()),
            ValueLayout::Bytes => CellBuf::Bytes(match (&self.structure, self.set) {
                (Some(structure), true) if structure.elements.is_some() => {
                    self.parse_set(structure, value)?
                }
                (structure, _) => parse_bytes(self.codec, structure.as_ref(), value)?,
            }),
        })
    }

    /// A cell from an argument of the command line: text is given as it is, everything else as JSON.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse_text(&self, text: &str) -> Result<CellBuf, String> {
        let json = || serde_json::from_str::<Value>(text);
        let value = match (self.layout, self.codec, self.set) {
            (ValueLayout::Bytes, Codec::Raw | Codec::Text, false) => json!(text),
            (ValueLayout::F64, ..) => json().unwrap_or_else(|_| json!(text)),
            _ => json().map_err(|error| format!("`{text}` is no {self}: {error}"))?,
        };
        self.parse(&value)
    }

    fn render_set(&self, structure: &Structure, bytes: &[u8]) -> Option<Value> {
        let Elements { layout, codec } = structure.elements?;
        let elements = statehouse_state::merge::elements(bytes)?;
        let element = |element: &[u8]| match layout {
            ValueLayout::Bytes => Some(render_bytes(codec, Some(structure), element)),
            _ => {
                let word = u64::from_be_bytes(element.try_into().ok()?);
                Some(render::word(layout, turned_back(layout, word)))
            }
        };
        elements.into_iter().map(element).collect()
    }

    fn parse_set(&self, structure: &Structure, value: &Value) -> Result<Vec<u8>, String> {
        let items = value.as_array().ok_or_else(|| format!("{value} is no list of elements"))?;
        let Some(Elements { layout, codec }) = structure.elements else {
            return Err("the elements of the set are not described".to_owned());
        };
        let form = Self { layout, codec, structure: Some(structure.clone()), set: false };
        let element = |item: &Value| match form.parse(item)? {
            CellBuf::Word(word) => Ok(turned(layout, word).to_be_bytes().to_vec()),
            CellBuf::Bytes(bytes) => Ok(bytes),
        };
        let mut elements = items.iter().map(element).collect::<Result<Vec<_>, String>>()?;
        elements.sort_unstable();
        elements.dedup();
        Ok(statehouse_state::merge::set_of(elements.iter().map(Vec::as_slice)))
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.layout {
            ValueLayout::U64 => "u64",
            ValueLayout::S64 => "s64",
            ValueLayout::F64 => "f64",
            ValueLayout::Bytes if self.set => "set",
            ValueLayout::Bytes => self.codec.name(),
        })
    }
}

fn of_key_layout(layout: KeyLayout) -> ValueLayout {
    match layout {
        KeyLayout::U64 => ValueLayout::U64,
        KeyLayout::S64 => ValueLayout::S64,
        KeyLayout::Bytes => ValueLayout::Bytes,
    }
}

fn render_bytes(codec: Codec, structure: Option<&Structure>, bytes: &[u8]) -> Value {
    match (codec, structure) {
        (Codec::Raw, _) => render::raw(bytes),
        (Codec::Msgpack, Some(structure)) => {
            structure.decode(bytes).unwrap_or_else(|| render::unread(bytes))
        }
        _ => render::bytes(codec, bytes),
    }
}

fn parse_bytes(
    codec: Codec,
    structure: Option<&Structure>,
    value: &Value,
) -> Result<Vec<u8>, String> {
    match (codec, value) {
        (Codec::Raw, Value::String(text)) => Ok(parse::bytes(text)),
        (Codec::Text, Value::String(text)) => Ok(text.as_bytes().to_vec()),
        (Codec::Raw | Codec::Text, _) => Err(format!("{value} is no text")),
        (Codec::Json, _) => Ok(match structure {
            Some(structure) => structure.order(value),
            None => value.to_string().into_bytes(),
        }),
        (Codec::Msgpack, _) => match structure {
            Some(structure) => structure.encode(value),
            None => Ok(structure::write(&structure::plain(value))),
        },
    }
}

/// A number as elements of sets have it: so that the order of bytes is that of numbers.
fn turned(layout: ValueLayout, word: u64) -> u64 {
    match layout {
        ValueLayout::S64 => word ^ SIGN,
        ValueLayout::F64 if word & SIGN == 0 => word ^ SIGN,
        ValueLayout::F64 => !word,
        _ => word,
    }
}

fn turned_back(layout: ValueLayout, word: u64) -> u64 {
    match layout {
        ValueLayout::S64 => word ^ SIGN,
        ValueLayout::F64 if word & SIGN != 0 => word ^ SIGN,
        ValueLayout::F64 => !word,
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn round_trip(form: &Form, cell: &CellBuf, shown: Value) {
        assert_eq!(form.render(cell.cell()), shown);
        assert_eq!(form.parse(&shown).as_ref(), Ok(cell));
    }

    #[test]
    fn numbers_and_bytes_are_shown_and_read() {
        let form = |layout, codec| Form::new(layout, codec, None);
        round_trip(&form(ValueLayout::S64, Codec::Raw), &CellBuf::Word(u64::MAX), json!(-1));
        let half = CellBuf::Word(0.5_f64.to_bits());
        round_trip(&form(ValueLayout::F64, Codec::Raw), &half, json!(0.5));
        let infinite = CellBuf::Word(f64::INFINITY.to_bits());
        round_trip(&form(ValueLayout::F64, Codec::Raw), &infinite, json!("inf"));
        let bytes = |bytes: &[u8]| CellBuf::Bytes(bytes.to_vec());
        let raw = form(ValueLayout::Bytes, Codec::Raw);
        round_trip(&raw, &bytes(b"tea"), json!("tea"));
        round_trip(&raw, &bytes(&[0xff]), json!("0xff"));
        round_trip(&raw, &bytes(b"0x41"), json!("0x30783431"));
        round_trip(&form(ValueLayout::Bytes, Codec::Text), &bytes(b"0x41"), json!("0x41"));
        let packed = form(ValueLayout::Bytes, Codec::Msgpack);
        round_trip(&packed, &bytes(&[0x92, 1, 0xa1, b'x']), json!([1, "x"]));
        assert_eq!(packed.parse_text("[1, \"x\"]"), packed.parse(&json!([1, "x"])));
    }

    #[test]
    fn what_is_no_such_cell_names_the_type() {
        let number = Form::new(ValueLayout::U64, Codec::Raw, None);
        assert!(number.parse(&json!(-1)).unwrap_err().contains("no u64"));
        assert!(number.parse_text("tea").unwrap_err().contains("`tea` is no u64"));
        let json = Form::new(ValueLayout::Bytes, Codec::Json, None);
        assert!(json.parse_text("{").unwrap_err().contains("no json"));
    }

    #[test]
    fn json_has_its_fields_in_the_order_of_the_type() {
        let schema = r#"{"type":{"struct":[["z","u64"],["a","text"]]}}"#;
        let form = Form::new(ValueLayout::Bytes, Codec::Json, Some(schema));
        let cell = form.parse_text(r#"{"a": "x", "z": 1}"#).unwrap();
        assert_eq!(cell, CellBuf::Bytes(br#"{"z":1,"a":"x"}"#.to_vec()));
    }

    #[test]
    fn sets_are_lists_of_their_elements() {
        let schema = r#"{"type":"s64","elements":{"layout":"s64","codec":"raw"}}"#;
        let form = Form { set: true, ..Form::new(ValueLayout::Bytes, Codec::Raw, Some(schema)) };
        let cell = form.parse(&json!([3, -2, 3])).unwrap();
        round_trip(&form, &cell, json!([-2, 3]));
        assert_eq!(form.render(Cell::Bytes(b"\x03no")), json!("\u{3}no"), "no set");
    }
}
