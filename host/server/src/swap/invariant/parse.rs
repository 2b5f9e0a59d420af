//! Reading an invariant: words first, then recursive descent.
//!
//! ```text
//! condition  = conjunct ("or" conjunct)*
//! conjunct   = negation ("and" negation)*
//! negation   = "not" negation | "(" condition ")" | comparison
//! comparison = sum ("<" | "<=" | "=" | "!=" | ">=" | ">") sum
//! sum        = product (("+" | "-") product)*
//! product    = factor (("*" | "/") factor)*
//! factor     = "-" factor | "(" sum ")" | number | ["before."] counter
//! ```
//!
//! A `-` between letters belongs to a counter's name; as a sign of subtraction it stands by itself.

use super::{Comparator, Condition, Number, Operation, Quantity};

/// How deep a condition may be nested.
const DEPTH_MAX: usize = 50;

/// What is wrong with a condition, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no invariant: {reason}\n  {text}\n  {}^", " ".repeat(*column))]
pub struct ParseError {
    text: String,
    column: usize,
    reason: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Word(String),
    Sign(&'static str),
    End,
}

/// Longer ones first.
const SIGNS: [&str; 13] = ["<=", ">=", "!=", "==", "<", ">", "=", "+", "-", "*", "/", "(", ")"];

pub(super) fn parse(text: &str, known: &[&str]) -> Result<Condition, ParseError> {
    let failed = |(at, reason): Fault| {
        let column = text[..at].chars().count();
        ParseError { text: text.to_owned(), column, reason }
    };
    let tokens = tokens(text).map_err(failed)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, known };
    let condition = parser.condition().map_err(failed)?;
    match parser.peek() {
        Token::End => Ok(condition),
        other => Err(failed(parser.fault(format!(
            "here it should end, or go on with `and` or `or`, and there is {}",
            named(other)
        )))),
    }
}

/// Where it is wrong, in bytes, and how.
type Fault = (usize, String);

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Fault> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            found.push((at, Token::Sign(sign)));
            sign.len()
        } else if first.is_ascii_digit() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_');
            let digits = &rest[..digits.unwrap_or(rest.len())];
            let number = digits.replace('_', "").parse();
            let number = number.map_err(|_| (at, format!("`{digits}` is no number")))?;
            found.push((at, Token::Number(number)));
            digits.len()
        } else if first.is_ascii_alphabetic() {
            let word = word(rest);
            found.push((at, Token::Word(word.to_owned())));
            word.len()
        } else {
            return Err((at, format!("`{first}` has no meaning here")));
        };
        at += length;
    }
    found.push((text.len(), Token::End));
    Ok(found)
}

/// Letters and digits, with `.`, `_` and `-` between them.
fn word(text: &str) -> &str {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let end = text.find(|c| !inside(c)).unwrap_or(text.len());
    text[..end].trim_end_matches(['.', '_', '-'])
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    at: usize,
    depth: usize,
    known: &'a [&'a str],
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].1
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found == word)
    }

    /// Goes on if this is next.
    fn takes(&mut self, is_next: bool) -> bool {
        self.at += usize::from(is_next);
        is_next
    }

    fn fault(&self, reason: String) -> Fault {
        (self.tokens[self.at].0, reason)
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == DEPTH_MAX {
            return Err(self.fault(format!("it is nested more than {DEPTH_MAX} deep")));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn condition(&mut self) -> Result<Condition, Fault> {
        let mut left = self.conjunct()?;
        while self.takes(self.is_word("or")) {
            left = Condition::Or(Box::new(left), Box::new(self.conjunct()?));
        }
        Ok(left)
    }

    fn conjunct(&mut self) -> Result<Condition, Fault> {
        let mut left = self.negation()?;
        while self.takes(self.is_word("and")) {
            left = Condition::And(Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Condition, Fault> {
        if self.takes(self.is_word("not")) {
            return Ok(Condition::Not(Box::new(self.deeper(Self::negation)?)));
        }
        if !self.is_sign("(") {
            return self.comparison();
        }
        // A parenthesis opens a condition, or a number at the left of a comparison: what it is shows later.
        let start = self.at;
        self.at += 1;
        let inner = self.deeper(Self::condition);
        if let Ok(inner) = inner
            && self.takes(self.is_sign(")"))
        {
            return Ok(inner);
        }
        let as_condition = (self.at, self.fault("a `)` is missing".to_owned()));
        self.at = start;
        self.comparison().map_err(|as_number| {
            // Whichever got further is what was meant.
            if as_number.0 >= as_condition.1.0 { as_number } else { as_condition.1 }
        })
    }

    fn comparison(&mut self) -> Result<Condition, Fault> {
        let left = self.sum()?;
        let comparator = match self.peek() {
            Token::Sign("<") => Comparator::Less,
            Token::Sign("<=") => Comparator::LessOrEqual,
            Token::Sign("=" | "==") => Comparator::Equal,
            Token::Sign("!=") => Comparator::Unequal,
            Token::Sign(">=") => Comparator::GreaterOrEqual,
            Token::Sign(">") => Comparator::Greater,
            other => {
                let found = named(other);
                let reason = format!(
                    "a comparison is missing: `<`, `<=`, `=`, `!=`, `>=` or `>`, and there is {found}"
                );
                return Err(self.fault(reason));
            }
        };
        self.at += 1;
        Ok(Condition::Compare(comparator, left, self.sum()?))
    }

    fn sum(&mut self) -> Result<Number, Fault> {
        let mut left = self.product()?;
        loop {
            let operation = match self.peek() {
                Token::Sign("+") => Operation::Add,
                Token::Sign("-") => Operation::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            left = Number::Computed(operation, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Number, Fault> {
        let mut left = self.factor()?;
        loop {
            let operation = match self.peek() {
                Token::Sign("*") => Operation::Multiply,
                Token::Sign("/") => Operation::Divide,
                _ => return Ok(left),
            };
            self.at += 1;
            left = Number::Computed(operation, Box::new(left), Box::new(self.factor()?));
        }
    }

    fn factor(&mut self) -> Result<Number, Fault> {
        if self.takes(self.is_sign("-")) {
            return Ok(Number::Negative(Box::new(self.deeper(Self::factor)?)));
        }
        if self.takes(self.is_sign("(")) {
            let inner = self.deeper(Self::sum)?;
            return match self.takes(self.is_sign(")")) {
                true => Ok(inner),
                false => Err(self.fault("a `)` is missing".to_owned())),
            };
        }
        match self.peek().clone() {
            Token::Number(number) => {
                self.at += 1;
                Ok(Number::Literal(number))
            }
            Token::Word(word) if !["and", "or", "not"].contains(&&*word) => {
                let quantity = self.quantity(&word)?;
                self.at += 1;
                Ok(Number::Quantity(quantity))
            }
            other => {
                let found = named(&other);
                Err(self.fault(format!("a number or a counter is missing, and there is {found}")))
            }
        }
    }

    fn quantity(&self, word: &str) -> Result<Quantity, Fault> {
        let (before, name) = match word.strip_prefix("before.") {
            Some(name) => (true, name),
            None => (false, word),
        };
        if !self.known.contains(&name) {
            let known = self.known.join("`, `");
            let reason = format!(
                "there is no counter `{name}`; there are `{known}`, each also as `before.…`; a `-` that subtracts \
                 has a space before it"
            );
            return Err(self.fault(reason));
        }
        Ok(Quantity { before, name: name.to_owned() })
    }
}

fn named(token: &Token) -> String {
    match token {
        Token::Number(number) => format!("`{number}`"),
        Token::Word(word) => format!("`{word}`"),
        Token::Sign(sign) => format!("`{sign}`"),
        Token::End => "nothing more".to_owned(),
    }
}
