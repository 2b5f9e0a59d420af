//! The examples, as their READMEs say. The flights have a file of their own.

use std::collections::BTreeMap;

use crate::workplace::{Workplace, root, wordcount};

#[test]
fn words_are_counted_as_a_plain_loop_counts_them() {
    let place = Workplace::new();
    let example = root().join("examples/wordcount");
    place.write("job.toml", &std::fs::read(example.join("job.toml")).unwrap());
    place.write("wordcount.wasm", wordcount());
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for entry in std::fs::read_dir(example.join("data")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        place.write(
            &format!("data/{}", path.file_name().unwrap().to_str().unwrap()),
            text.as_bytes(),
        );
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            *expected.entry(word.to_lowercase()).or_default() += 1;
        }
    }
    assert!(expected.len() > 8, "{} words", expected.len());
    place.run(&["run", "job.toml"]).succeeded();
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for row in place.rows("out") {
        let count = counted.entry(row["word"].as_str().unwrap().to_owned()).or_default();
        *count = (*count).max(row["count"].as_u64().unwrap());
    }
    assert_eq!(counted, expected);
}
