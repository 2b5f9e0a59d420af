//! Rows back from Parquet, as the JSON objects that an import takes.

use std::fs::File;
use std::path::Path;

use arrow::array::{
    Array, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, UInt32Array,
    UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};
use statehouse_operator::Form;
use statehouse_state::Cell;

use super::columns::FORM;
use crate::error::Error;

/// Calls with every row of a Parquet file. Cells that are null are left out.
pub(crate) fn read_parquet(
    path: &Path,
    visit: &mut dyn FnMut(Map<String, Value>) -> Result<(), Error>,
) -> Result<(), Error> {
    let error = |reason: String| Error::file(path, "read", reason);
    let file = File::open(path).map_err(|source| error(source.to_string()))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    for batch in reader.map_err(|source| error(source.to_string()))? {
        let batch = batch.map_err(|source| error(source.to_string()))?;
        let schema = batch.schema();
        let columns: Vec<_> = schema.fields().iter().zip(columns(&batch).map_err(error)?).collect();
        for row in 0..batch.num_rows() {
            let mut object = Map::new();
            for (field, column) in &columns {
                if column.is_null(row) {
                    continue;
                }
                let cell = cell(field, column.as_ref(), row).map_err(error)?;
                object.insert(field.name().clone(), cell);
            }
            visit(object)?;
        }
    }
    Ok(())
}

/// The columns, those of related types turned into the ones that are read.
fn columns(batch: &RecordBatch) -> Result<Vec<arrow::array::ArrayRef>, String> {
    let turned = |column: &arrow::array::ArrayRef| {
        let to = match column.data_type() {
            DataType::Int8 | DataType::Int16 | DataType::Int32 => DataType::Int64,
            DataType::UInt8 | DataType::UInt16 => DataType::UInt64,
            DataType::Float16 | DataType::Float32 => DataType::Float64,
            DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => DataType::Utf8,
            DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                DataType::Binary
            }
            _ => return Ok(std::sync::Arc::clone(column)),
        };
        cast(column, &to).map_err(|source| source.to_string())
    };
    batch.columns().iter().map(turned).collect()
}

fn cell(field: &Field, column: &dyn Array, row: usize) -> Result<Value, String> {
    let any = column.as_any();
    if let Some(numbers) = any.downcast_ref::<UInt64Array>() {
        return Ok(json!(numbers.value(row)));
    }
    if let Some(numbers) = any.downcast_ref::<UInt32Array>() {
        return Ok(json!(numbers.value(row)));
    }
    if let Some(numbers) = any.downcast_ref::<Int64Array>() {
        return Ok(json!(numbers.value(row)));
    }
    if let Some(truths) = any.downcast_ref::<BooleanArray>() {
        return Ok(json!(truths.value(row)));
    }
    if let Some(numbers) = any.downcast_ref::<Float64Array>() {
        let number = numbers.value(row);
        return Ok(if number.is_finite() { json!(number) } else { json!(number.to_string()) });
    }
    if let Some(rows) = any.downcast_ref::<BinaryArray>() {
        return Ok(Form::raw().render(Cell::Bytes(rows.value(row))));
    }
    if let Some(texts) = any.downcast_ref::<StringArray>() {
        let text = texts.value(row);
        let (key, form) = FORM;
        let is_json = field.metadata().get(key).is_some_and(|found| found == form);
        return match is_json {
            true => serde_json::from_str(text)
                .map_err(|source| format!("column `{}`, `{text}`: {source}", field.name())),
            false => Ok(json!(text)),
        };
    }
    Err(format!("column `{}` is {}, which no row has", field.name(), column.data_type()))
}
