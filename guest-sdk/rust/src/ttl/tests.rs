//! Times-to-live, on the harness's clocks.

use std::time::Duration;

use crate::prelude::*;

type Found = (Option<i64>, Option<String>, Vec<(u64, u64)>, Vec<u64>, Option<i64>);

const PLAIN: u8 = 0;
const EVENT_TIME: u8 = 1;
const ON_READ: u8 = 2;
const RETURN_EXPIRED: u8 = 3;

/// Every kind that can expire. A record above 0 is written, 0 looks.
struct Fading<const HOW: u8> {
    word: ValueState<i64>,
    text: ValueState<String>,
    map: MapState<u64, u64>,
    list: ListState<u64>,
    sum: ReducingState<i64>,
    set: SetState<u64>,
    bytes: AppendState,
    found: Output<Found>,
}

impl<const HOW: u8> Operator for Fading<HOW> {
    const NAME: &str = "fading";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        setup.keyed_input("touch", |fading: &mut Self, _: Record<u64, ()>| {
            fading.map.contains_key(&1);
            Ok(())
        });
        let ttl = Ttl::after(Duration::from_millis(10));
        let ttl = match HOW {
            EVENT_TIME => ttl.event_time(),
            ON_READ => ttl.on_read(),
            RETURN_EXPIRED => ttl.return_expired(),
            _ => ttl,
        };
        let mut fading = setup.expiring(ttl);
        Fading {
            word: fading.value("word"),
            text: fading.value("text"),
            map: fading.map("map"),
            list: fading.list("list"),
            sum: fading.sum("sum"),
            set: fading.set("set"),
            bytes: fading.append("bytes"),
            found: setup.output("found"),
        }
    }
}

impl<const HOW: u8> Fading<HOW> {
    fn on_number(&mut self, number: Record<u64, u64>) -> Result<()> {
        let number = number.value;
        if number > 0 {
            self.word.set(number as i64);
            self.text.set(number.to_string());
            self.map.insert(&number, number);
            self.list.add(&number);
            self.sum.add(number as i64);
            self.set.add(&number);
            self.bytes.add(&[number as u8]);
            return Ok(());
        }
        let found =
            (self.word.get(), self.text.get(), self.map.entries(), self.list.get(), self.sum.get());
        assert_eq!(self.set.get().is_empty(), found.4.is_none());
        assert_eq!(self.bytes.get().is_none(), found.4.is_none());
        self.found.emit(&found)
    }
}

fn look<const HOW: u8>(fading: &mut TestHarness<Fading<HOW>>) -> Found {
    fading.send("numbers", 1_u64, 0_u64, 0);
    fading.take_values("found").remove(0)
}

fn all(number: u64, entries: &[u64], sum: i64) -> Found {
    let pairs = entries.iter().map(|entry| (*entry, *entry)).collect();
    (Some(number as i64), Some(number.to_string()), pairs, entries.to_vec(), Some(sum))
}

const NOTHING: Found = (None, None, Vec::new(), Vec::new(), None);

#[test]
fn values_expire_and_the_elements_of_collections_one_by_one() {
    let mut fading = TestHarness::<Fading<PLAIN>>::new();
    fading.send("numbers", 1_u64, 5_u64, 0);
    fading.advance_processing_time(6);
    fading.send("numbers", 1_u64, 7_u64, 0);
    fading.advance_processing_time(9);
    assert_eq!(look(&mut fading), all(7, &[5, 7], 12));
    fading.advance_processing_time(10);
    assert_eq!(look(&mut fading), all(7, &[7], 12));
    fading.advance_processing_time(16);
    assert_eq!(look(&mut fading), NOTHING);
    fading.send("numbers", 1_u64, 8_u64, 0);
    assert_eq!(look(&mut fading), all(8, &[8], 8));
}

#[test]
fn reads_prolong_life_where_it_is_declared() {
    let mut fading = TestHarness::<Fading<ON_READ>>::new();
    fading.send("numbers", 1_u64, 5_u64, 0);
    for time in [9, 18, 27] {
        fading.advance_processing_time(time);
        assert_eq!(look(&mut fading), all(5, &[5], 5));
        let touches = fading.calls().into_iter().filter(|call| call.ends_with(".touch")).count();
        assert_eq!(touches, 7, "one for each state");
    }
    fading.advance_processing_time(37);
    assert_eq!(look(&mut fading), NOTHING);
    fading.send("numbers", 1_u64, 1_u64, 0);
    assert!(fading.calls().iter().all(|call| !call.ends_with(".touch")), "writes need none");
    fading.advance_processing_time(46);
    fading.send("touch", 1_u64, (), 0);
    assert_eq!(fading.calls(), ["map-state.load-all", "map-state.touch"]);
    fading.advance_processing_time(50);
    assert_eq!(look(&mut fading), (None, None, vec![(1, 1)], Vec::new(), None));
}

#[test]
fn reads_do_not_prolong_life_otherwise_and_cost_no_call() {
    let mut fading = TestHarness::<Fading<PLAIN>>::new();
    fading.send("numbers", 1_u64, 5_u64, 0);
    fading.advance_processing_time(9);
    assert_eq!(look(&mut fading), all(5, &[5], 5));
    assert!(fading.calls().iter().all(|call| !call.ends_with(".touch")));
    fading.advance_processing_time(12);
    assert_eq!(look(&mut fading), NOTHING);
}

#[test]
fn event_time_runs_from_the_record_to_the_watermark() {
    let mut fading = TestHarness::<Fading<EVENT_TIME>>::new();
    fading.send("numbers", 1_u64, 5_u64, 100);
    fading.advance_processing_time(1000);
    fading.advance_watermark(109);
    assert_eq!(look(&mut fading), all(5, &[5], 5));
    fading.advance_watermark(110);
    assert_eq!(look(&mut fading), NOTHING);
}

#[test]
fn expired_values_show_until_they_are_cleaned_up_where_it_is_declared() {
    let mut fading = TestHarness::<Fading<RETURN_EXPIRED>>::new();
    fading.send("numbers", 1_u64, 5_u64, 0);
    fading.advance_processing_time(1000);
    assert_eq!(look(&mut fading), all(5, &[5], 5));
}
