//! Counts words: `split` cuts lines into words, `count` keeps a running count of each.

use statehouse::prelude::*;

struct Split {
    words: KeyedOutput<String, u64>,
}

impl Operator for Split {
    const NAME: &str = "split";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.input("lines", Self::on_line);
        Split { words: setup.keyed_output("words") }
    }
}

impl Split {
    fn on_line(&mut self, line: Record<(), String>) -> Result<()> {
        for word in line.value.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
        {
            self.words.emit(&word.to_lowercase(), &1)?;
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Counted {
    word: String,
    count: u64,
}

struct Count {
    seen: ValueState<u64>,
    counts: Output<Json<Counted>>,
}

impl Operator for Count {
    const NAME: &str = "count";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("words", Self::on_word);
        Count { seen: setup.value("seen"), counts: setup.output("counts") }
    }
}

impl Count {
    fn on_word(&mut self, word: Record<String, u64>) -> Result<()> {
        let count = self.seen.get_or_default() + word.value;
        self.seen.set(count);
        self.counts.emit(&Json(Counted { word: word.key, count }))
    }
}

statehouse::export!(Split, Count);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_words_and_words_are_counted() {
        let mut split = TestHarness::<Split>::new();
        let mut count = TestHarness::<Count>::new();
        split.batch("lines").push((), "Tea or coffee?", 1).push((), "tea!", 2).send();
        for word in split.take_records::<String, u64>("words") {
            count.send("words", word.key, word.value, word.time);
        }
        assert_eq!(count.state("seen", "tea"), Some(2_u64));
        let last = count.take_values::<Json<Counted>>("counts").pop();
        assert_eq!(last, Some(Json(Counted { word: "tea".into(), count: 2 })));
    }
}
