//! Operators that misbehave hurt nobody but the records that made them, and operators that use everything work.

use serde_json::{Value, json};

use crate::workplace::Workplace;

/// A job over `rows.jsonl`, keyed by the member `key`, through one operator whose bad records are set aside.
fn job(operator: &str, port: &str, extra: &str) -> String {
    format!(
        r#"
[job]
name = "misbehaving"
[dead-letters]
path = "dead"
[[source]]
id = "rows"
connector = "jsonl"
path = "rows.jsonl"
[[operator]]
id = "shape"
operator = "shape"
component = "guests.wasm"
input = "rows"
config = {{ for = "{operator}" }}
[[operator]]
id = "{operator}"
component = "guests.wasm"
input = "shape.{port}"
on-error = "dead-letter"
deadline = "1s"
{extra}
"#
    )
}

/// A sink for a port, named like it. A `+` in front says that its records have keys.
fn sink(operator: &str, port: &str) -> String {
    let keyed = port.starts_with('+');
    let port = port.trim_start_matches('+');
    format!(
        "[[sink]]\nid = \"to-{port}\"\nconnector = \"jsonl\"\ninput = \"{operator}.{port}\"\npath = \"{port}\"\n\
         with-key = {keyed}\n"
    )
}

/// Runs rows of (key, value) through an operator; returns the place.
fn through(
    operator: &str,
    port: &str,
    rows: &[(u64, Value)],
    sinks: &[&str],
    extra: &str,
) -> Workplace {
    let mut text = job(operator, port, extra);
    for output in sinks {
        text += &sink(operator, output);
    }
    let place = Workplace::with_guests(&text);
    let lines: Vec<String> =
        rows.iter().map(|(key, value)| json!({ "key": key, "value": value }).to_string()).collect();
    place.write("rows.jsonl", lines.join("\n").as_bytes());
    place.run(&["run", "job.toml"]).succeeded();
    place
}

fn numbers(values: &[(u64, i64)]) -> Vec<(u64, Value)> {
    values.iter().map(|&(key, value)| (key, json!(value))).collect()
}

fn sums(place: &Workplace) -> Vec<(u64, i64)> {
    let rows = place.rows("sums");
    let mut sums: Vec<_> = rows
        .iter()
        .map(|row| (row["key"].as_u64().unwrap(), row["value"].as_i64().unwrap()))
        .collect();
    sums.sort_unstable();
    sums
}

/// Each command of `mishap`, and what the dead letter says of it.
const COMMANDS: [(i64, &str); 6] = [
    (-1001, "told to panic by key 2"),
    (-1002, "deadline of 1s"),
    (-1003, "bytes of memory"),
    (-1004, "told to refuse key 2"),
    (-1005, "trapped"),
    (-1007, ""),
];

#[test]
fn whatever_one_record_does_the_others_are_not_touched() {
    for (command, says) in COMMANDS {
        let rows = numbers(&[(1, 10), (2, 5), (2, command), (1, 1), (2, 6)]);
        let place = through("mishap", "numbers", &rows, &["+sums"], "");
        assert_eq!(sums(&place), [(1, 10), (1, 11), (2, 5), (2, 11)], "{command}");
        let dead = place.rows("dead");
        assert_eq!(dead.len(), 1, "{command}: {dead:?}");
        assert_eq!(dead[0]["operator"], "mishap");
        assert_eq!(dead[0]["record"], json!({"time": 0, "key": 2, "value": command}));
        let reason = dead[0]["reason"].as_str().unwrap();
        assert!(reason.contains(says) && !reason.is_empty(), "{command}: {reason}");
    }
}

#[test]
fn a_rejected_record_keeps_what_was_done_for_it() {
    let rows = numbers(&[(1, 10), (1, -1006), (1, 3)]);
    let place = through("mishap", "numbers", &rows, &["+sums"], "");
    assert_eq!(sums(&place), [(1, 3), (1, 10)], "the sum was set to 0 with the rejected record");
    assert_eq!(place.rows("dead")[0]["reason"], "told to reject");
}

#[test]
fn the_policy_decides_between_failing_and_skipping() {
    let rows = b"{\"key\":1,\"value\":4}\n{\"key\":2,\"value\":-1001}\n{\"key\":1,\"value\":5}\n";
    for (policy, code) in [("fail", Some(1)), ("skip", Some(0))] {
        let text =
            job("mishap", "numbers", "").replace("\"dead-letter\"", &format!("\"{policy}\""));
        let place = Workplace::with_guests(&(text + &sink("mishap", "+sums")));
        place.write("rows.jsonl", rows);
        let done = place.run(&["run", "job.toml"]);
        assert_eq!(done.code, code, "{done:?}");
        assert!(place.rows("dead").is_empty());
        if policy == "fail" {
            let says = ["mishap", "`numbers`", "told to panic", "\"value\":-1001", "on-error"];
            done.refused(&says);
            assert!(place.lines("sums").is_empty(), "nothing is committed");
        } else {
            assert_eq!(sums(&place), [(1, 4), (1, 9)]);
        }
    }
}

#[test]
fn an_operator_that_goes_wrong_while_opening_is_refused() {
    for (how, says) in
        [("panic", "told to panic"), ("spin", "deadline"), ("refuse", "told to refuse")]
    {
        let text = job("mishap", "numbers", &format!("config = {{ open = \"{how}\" }}"));
        let place = Workplace::with_guests(&(text + &sink("mishap", "+sums")));
        place.write("rows.jsonl", b"");
        place.run(&["run", "job.toml"]).refused(&["mishap", says]);
    }
}

/// What breaks the contract below the SDK: each is a trap that says what was wrong, and undoes the record.
const BREACHES: [&str; 22] = [
    "bad-slot",
    "bad-slot-timer",
    "bad-slot-word",
    "bad-state",
    "bad-timer",
    "bad-counter",
    "counter-as-gauge",
    "bad-port",
    "bad-layout",
    "bad-layout-word",
    "bad-length",
    "emit-layout",
    "emit-length",
    "emit-without-keys",
    "emit-with-keys",
    "offsets-descending",
    "offsets-beyond",
    "offsets-from-one",
    "reject-beyond",
    "reject-length",
    "err-without-row",
    "err-row-beyond",
];

#[test]
fn breaches_of_the_contract_are_caught_one_by_one() {
    let mut rows: Vec<(u64, Value)> = vec![(1, json!("single-forms"))];
    rows.extend(BREACHES.iter().map(|act| (1, json!(act))));
    rows.extend([(1, json!("nothing")), (1, json!("store-reads-back")), (2, json!("twice"))]);
    rows.extend([(1, json!("err-row")), (3, json!("single-forms"))]);
    let place = through("raw", "acts", &rows, &["texts", "+numbers"], "");
    let (dead, timers): (Vec<_>, Vec<_>) =
        place.rows("dead").into_iter().partition(|dead| dead["input"] == "acts");
    // `single-forms` sets a timer, which the operator refuses to take.
    assert_eq!(timers.len(), 2, "{timers:?}");
    assert!(timers.iter().all(|letter| letter["timer"] == "alarm"));
    let mut acts: Vec<_> =
        dead.iter().map(|dead| dead["record"]["value"].as_str().unwrap()).collect();
    acts.sort_unstable();
    let mut expected: Vec<_> = BREACHES.into_iter().chain(["err-row"]).collect();
    expected.sort_unstable();
    assert_eq!(acts, expected);
    assert!(dead.iter().all(|dead| dead["reason"].as_str().is_some_and(|reason| reason.len() > 5)));
    // Each `single-forms` appends one x to its own key's text.
    assert_eq!(place.lines("texts").len(), 2, "{:?}", place.lines("texts"));
}

#[test]
fn a_global_is_seen_to_be_lost_with_the_instance() {
    let rows = numbers(&[(1, 1), (1, 1), (1, 1)]);
    let place = through("global", "numbers", &rows, &["counts"], "");
    assert_eq!(place.lines("counts").len(), 3);
}

#[test]
fn timers_of_both_clocks_fire_and_can_be_taken_back() {
    let rows = [
        (1, json!([true, 50])),
        (1, json!([true, 50])),
        (1, json!([true, 70])),
        (2, json!([true, 60])),
        (2, json!([false, 60])),
    ];
    let place = through("alarms", "alarms", &rows, &["+fired"], "");
    let fired = place.lines("fired").join("\n");
    assert!(fired.contains("50") && fired.contains("70") && !fired.contains("60"), "{fired}");
}

#[test]
fn several_ports_in_and_out_share_one_state() {
    let text = job("junction", "left", "");
    let inputs =
        "inputs = { left = \"shape.left\", right = \"shape.right\", loose = \"shape.loose\" }";
    let mut text = text.replace("input = \"shape.left\"", inputs);
    for port in ["+both", "numbers", "loose"] {
        text += &sink("junction", port);
    }
    let place = Workplace::with_guests(&text);
    let rows = [
        (1, json!({"left": 4})),
        (2, json!({"left": 3})),
        (1, json!({"right": "ü"})),
        (1, json!({"right": "y"})),
        (2, json!({"right": ""})),
        (3, json!({"loose": [1, 2, 3]})),
    ];
    let lines = rows.map(|(key, value)| json!({"key": key, "value": value}).to_string());
    place.write("rows.jsonl", lines.join("\n").as_bytes());
    place.run(&["run", "job.toml"]).succeeded();
    // Both inputs come by channels of their own, so only what does not depend on their order is certain.
    let mut numbers: Vec<f64> =
        place.rows("numbers").iter().map(|row| row.as_f64().unwrap()).collect();
    numbers.sort_by(f64::total_cmp);
    assert_eq!(numbers, [1.5, 2.0]);
    assert_eq!(place.rows("loose"), [json!([3, 2, 1])]);
    let both = place.rows("both");
    assert_eq!(both.len(), 5);
    assert!(both.iter().any(|row| row["value"][1] == json!(["ü", "y"])), "{both:?}");
}

#[test]
fn values_of_many_kilobytes_pass() {
    let rows = [(1, json!(500_000)), (2, json!(0)), (1, json!(300_000))];
    let place = through("huge", "sizes", &rows, &["+sizes"], "");
    assert_eq!(place.lines("sizes").len(), 3);
    assert!(place.rows("dead").is_empty());
}

#[test]
fn log_lines_and_the_clock_come_from_the_host() {
    let text = r#"
[job]
name = "chatter"
[dead-letters]
path = "dead"
[[source]]
id = "lines"
connector = "lines"
path = "lines.txt"
[[operator]]
id = "chatter"
component = "guests.wasm"
input = "lines"
on-error = "dead-letter"
[[sink]]
id = "said"
connector = "jsonl"
input = "chatter.times"
path = "said"
"#;
    let place = Workplace::with_guests(text);
    place.write("lines.txt", "warn beware of the dog\n\ninfo all is well\n".as_bytes());
    let done = place.run(&["run", "job.toml"]).succeeded();
    assert!(done.stderr.contains("beware of the dog"), "{}", done.stderr);
    assert_eq!(place.rows("dead").len(), 1, "the empty line is rejected");
}
