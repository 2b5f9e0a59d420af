//! Lines of text: each is a record, empty ones too.

use statehouse_engine::ConnectorError;
use statehouse_operator::Batch;

use super::{Decoded, Decoder, push_row, too_long};
use crate::input::{Input, Line};

/// Reads lines of UTF-8.
#[derive(Debug, Default)]
pub(crate) struct LinesDecoder {
    line: Vec<u8>,
}

impl Decoder for LinesDecoder {
    fn start(&mut self, _: &mut Input) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn read(&mut self, input: &mut Input, batch: &mut Batch) -> Result<Decoded, ConnectorError> {
        let number = input.line_number();
        match input.read_line(&mut self.line)? {
            Line::End => return Ok(Decoded::End),
            Line::TooLong => {
                return Ok(Decoded::Malformed(input.malformed(number, too_long(), &self.line)));
            }
            Line::Whole => {}
        }
        if let Err(error) = std::str::from_utf8(&self.line) {
            let reason = format!("not UTF-8 from byte {} on", error.valid_up_to());
            return Ok(Decoded::Malformed(input.malformed(number, reason, &self.line)));
        }
        push_row(batch, 0, None, &self.line);
        Ok(Decoded::Row)
    }
}
