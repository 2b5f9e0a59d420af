//! Whether values of one structure can be read as values of another: what is told from the descriptions alone.

use super::{Shape, Structure};
use crate::description::Codec;

/// How deep structures are compared. What lies deeper counts as unknown.
const DEPTH_MAX: usize = 64;

/// What a structure has more than the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Widening {
    /// What can be read as it is and has room for more: empty if nothing has changed.
    pub widened: Vec<String>,
    /// What has another name only.
    pub named: Vec<String>,
}

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Whatever reads the older values as they are. Fields are told apart by their names if they travel with them.
    Readable { by_name: bool },
    /// Nothing that changes the bytes of a value: they are compared with others.
    SameBytes { by_name: bool },
}

impl Rule {
    fn by_name(self) -> bool {
        let (Self::Readable { by_name } | Self::SameBytes { by_name }) = self;
        by_name
    }
}

impl Structure {
    /// What `now` has more than this structure, whose values it must be able to read.
    ///
    /// # Errors
    /// What it cannot read, in words.
    pub fn widened(&self, now: &Self, codec: Codec) -> Result<Widening, String> {
        if self.elements != now.elements {
            return Err("the elements of the set have another layout or codec".to_owned());
        }
        let by_name = codec == Codec::Json;
        let rule = match self.elements {
            None => Rule::Readable { by_name },
            Some(_) => Rule::SameBytes { by_name },
        };
        Comparing::new(self, now, rule).run()
    }

    /// The same for keys, whose bytes must not change with the structure.
    ///
    /// # Errors
    /// What would be other bytes, in words.
    pub fn same_bytes(&self, now: &Self, codec: Codec) -> Result<Widening, String> {
        Comparing::new(self, now, Rule::SameBytes { by_name: codec == Codec::Json }).run()
    }
}

/// A comparison under way.
struct Comparing<'a> {
    before: &'a Structure,
    now: &'a Structure,
    rule: Rule,
    found: Widening,
    /// Where in the value: names of fields.
    path: Vec<&'a str>,
    /// Pairs of named types that are compared already, or being compared.
    met: Vec<(&'a str, &'a str)>,
    depth: usize,
}

impl<'a> Comparing<'a> {
    fn new(before: &'a Structure, now: &'a Structure, rule: Rule) -> Self {
        let found = Widening::default();
        Self { before, now, rule, found, path: Vec::new(), met: Vec::new(), depth: 0 }
    }

    fn run(mut self) -> Result<Widening, String> {
        self.shapes(&self.before.shape, &self.now.shape)?;
        Ok(self.found)
    }

    fn shapes(&mut self, before: &'a Shape, now: &'a Shape) -> Result<(), String> {
        if let (Shape::Named(one), Shape::Named(other)) = (before, now) {
            let pair = (one.as_str(), other.as_str());
            if self.met.contains(&pair) {
                return Ok(());
            }
            self.met.push(pair);
        }
        let (before, now) = (self.before.resolve(before), self.now.resolve(now));
        if self.depth == DEPTH_MAX {
            return Ok(());
        }
        self.depth += 1;
        let compared = self.resolved(before, now);
        self.depth -= 1;
        compared
    }

    fn resolved(&mut self, before: &'a Shape, now: &'a Shape) -> Result<(), String> {
        match (before, now) {
            (Shape::Any, _) | (_, Shape::Any) => Ok(()),
            (Shape::Optional(before), Shape::Optional(now))
            | (Shape::List(before), Shape::List(now)) => self.shapes(before, now),
            (Shape::Map(before), Shape::Map(now)) => self.map(before, now),
            (Shape::Tuple(before), Shape::Tuple(now)) if before.len() == now.len() => {
                before.iter().zip(now).try_for_each(|(before, now)| self.shapes(before, now))
            }
            (Shape::Struct(before), Shape::Struct(now)) => match self.rule {
                Rule::Readable { by_name: true } => self.fields_by_name(before, now),
                _ => self.fields_in_order(before, now),
            },
            (Shape::Enum(before), Shape::Enum(now)) => self.variants(before, now),
            (before, now) if before == now => Ok(()),
            (before, Shape::Optional(now)) => {
                self.widen("may be missing now")?;
                self.shapes(before, now)
            }
            (Shape::F32, Shape::F64) => self.widen("has 64 bits now"),
            (Shape::U64, Shape::S64) => {
                self.widen("is signed now (numbers of 2^63 and above cannot be read)")
            }
            _ => Err(self.at("is of another type")),
        }
    }

    /// The keys of a map inside a value decide which of its entries are the same.
    fn map(&mut self, before: &'a (Shape, Shape), now: &'a (Shape, Shape)) -> Result<(), String> {
        self.shapes(&before.0, &now.0)?;
        self.shapes(&before.1, &now.1)
    }

    fn fields_in_order(
        &mut self,
        before: &'a [(String, Shape)],
        now: &'a [(String, Shape)],
    ) -> Result<(), String> {
        if let Some((name, _)) = before.get(now.len()) {
            return Err(self.at(&format!("has lost its field `{name}`")));
        }
        for ((was, before), (name, now)) in before.iter().zip(now) {
            if was != name {
                if self.rule.by_name() {
                    return Err(self.at(&format!("has the field `{name}` where `{was}` was")));
                }
                let named = self.at(&format!("names its field `{was}` now `{name}`"));
                self.found.named.push(named);
            }
            self.field(name, before, now)?;
        }
        now[before.len()..].iter().try_for_each(|(name, shape)| self.new_field(name, shape))
    }

    fn fields_by_name(
        &mut self,
        before: &'a [(String, Shape)],
        now: &'a [(String, Shape)],
    ) -> Result<(), String> {
        for (name, before) in before {
            match now.iter().find(|(other, _)| other == name) {
                Some((_, now)) => self.field(name, before, now)?,
                None => return Err(self.at(&format!("has lost its field `{name}`"))),
            }
        }
        let is_new = |name: &String| before.iter().all(|(other, _)| other != name);
        let mut added = now.iter().filter(|(name, _)| is_new(name));
        added.try_for_each(|(name, shape)| self.new_field(name, shape))
    }

    fn field(&mut self, name: &'a str, before: &'a Shape, now: &'a Shape) -> Result<(), String> {
        self.path.push(name);
        self.shapes(before, now)?;
        self.path.pop();
        Ok(())
    }

    fn new_field(&mut self, name: &str, shape: &'a Shape) -> Result<(), String> {
        match self.now.resolve(shape) {
            Shape::Optional(_) => self.widen(&format!("has the new field `{name}`")),
            _ => Err(self.at(&format!(
                "has the new field `{name}`, which is not optional: values that are there lack it"
            ))),
        }
    }

    fn variants(
        &mut self,
        before: &'a [(String, Shape)],
        now: &'a [(String, Shape)],
    ) -> Result<(), String> {
        for (name, before) in before {
            match now.iter().find(|(other, _)| other == name) {
                Some((_, now)) => self.field(name, before, now)?,
                None => return Err(self.at(&format!("has lost its variant `{name}`"))),
            }
        }
        let is_new = |name: &String| before.iter().all(|(other, _)| other != name);
        for (name, _) in now.iter().filter(|(name, _)| is_new(name)) {
            let widened = self.at(&format!("has the new variant `{name}`"));
            self.found.widened.push(widened);
        }
        Ok(())
    }

    /// Something older that can be read as it is, and would not be written so any more.
    fn widen(&mut self, what: &str) -> Result<(), String> {
        let text = self.at(what);
        match self.rule {
            Rule::Readable { .. } => {
                self.found.widened.push(text);
                Ok(())
            }
            Rule::SameBytes { .. } => Err(text),
        }
    }

    /// What is said of the place that is compared.
    fn at(&self, what: &str) -> String {
        match self.path.is_empty() {
            true => format!("the value {what}"),
            false => format!("`{}` {what}", self.path.join(".")),
        }
    }
}

#[cfg(test)]
mod tests;
