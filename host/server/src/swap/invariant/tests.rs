//! Invariants: what they say of counters, and how wrong ones are refused.

use super::*;

const KNOWN: [&str; 4] = ["records-in", "records-out", "rejected", "busy-ns"];

/// In the trial 100 records came in, 90 went out, none was rejected; before ten times as many.
fn value(quantity: &Quantity) -> Option<f64> {
    let value = match quantity.name.as_str() {
        "records-in" => 100.0,
        "records-out" => 90.0,
        "rejected" => 0.0,
        _ => return None,
    };
    Some(if quantity.before { 10.0 * value } else { value })
}

fn holds(text: &str) -> bool {
    Invariant::parse(text, &KNOWN).unwrap().holds(value)
}

#[test]
fn arithmetic_binds_as_everywhere() {
    for text in [
        "1 + 2 * 3 = 7",
        "(1 + 2) * 3 = 9",
        "10 - 4 - 3 = 3",
        "12 / 3 / 2 = 2",
        "-2 * -3 = 6",
        "1_000 = 1000.0",
        "records-in - records-out = 10",
    ] {
        assert!(holds(text), "{text}");
    }
    assert!(!holds("2 - 1 - 1 = 2"));
}

#[test]
fn comparisons_and_words_combine() {
    assert!(holds("records-out >= 0.9 * records-in and rejected = 0"));
    assert!(holds("records-out > records-in or rejected < 1"));
    assert!(!holds("not records-out < records-in"));
    assert!(holds("not (records-out > records-in and rejected = 0)"));
    assert!(holds("(records-out) < (records-in)"));
    assert!(holds("((records-out + 1) * 2 < 200) and (1 < 2)"));
    // `and` binds closer than `or`.
    assert!(holds("1 = 1 or 1 = 1 and 1 = 2"));
    assert!(holds("before.records-in = 10 * records-in"));
    for (text, expected) in
        [("1 < 1", false), ("1 <= 1", true), ("1 != 1", false), ("1 == 1", true), ("2 > 1", true)]
    {
        assert_eq!(holds(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_number_meets_no_comparison() {
    for text in ["records-in / rejected > 0", "records-in / rejected != 0", "busy-ns >= 0"] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn a_violated_invariant_says_what_it_saw() {
    let invariant = Invariant::parse("records-out > before.records-out + busy-ns", &KNOWN).unwrap();
    assert!(!invariant.holds(value));
    let seen = invariant.explain(value);
    assert_eq!(seen, "busy-ns is not counted, records-out = 90, before.records-out = 900");
}

#[test]
fn errors_point_at_the_place() {
    let check = |text: &str, column: usize, says: &str| {
        let error = Invariant::parse(text, &KNOWN).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
        let pointer = error.lines().last().unwrap();
        assert_eq!(pointer.len(), column + 3, "{text}: {error}");
    };
    check("", 0, "a number or a counter is missing");
    check("rejected", 8, "a comparison is missing");
    check("rejected = ", 11, "nothing more");
    check("rejcted = 0", 0, "there is no counter `rejcted`");
    check("records-in-10 = 90", 0, "a `-` that subtracts has a space");
    check("1 < 2 rejected = 0", 6, "go on with `and` or `or`");
    check("rejected = 0 and", 16, "a number or a counter is missing");
    check("(1 < 2", 6, "a `)` is missing");
    check("1 < (2 + 3", 10, "a `)` is missing");
    check("1 < 2.3.4", 4, "`2.3.4` is no number");
    check("rejected = 0 ; 1", 13, "`;` has no meaning");
    check("ä = 1", 0, "`ä` has no meaning");
    check("1 = 1 and ä", 10, "`ä` has no meaning");
    check("and = 1", 0, "a number or a counter is missing");
    check("before.before.rejected = 1", 0, "there is no counter");
    check(&"(".repeat(60), 51, "nested more than");
}
