//! Tests of tickets.

use super::*;

fn ticket() -> SwapTicket {
    let nodes = Vec::new();
    let request =
        SwapRequest { nodes, savepoint: "before".into(), commit_outputs: false, canary: None };
    SwapTicket::new(&request)
}

#[test]
fn who_waits_is_told_of_every_stage_and_nothing_follows_the_last() {
    let ticket = ticket();
    let waited = ticket.wait_past(&SwapStage::Queued, Duration::ZERO);
    assert_eq!(waited, SwapStage::Queued);
    let waiting = {
        let ticket = ticket.clone();
        std::thread::spawn(move || ticket.wait_past(&SwapStage::Queued, Duration::from_secs(60)))
    };
    ticket.advance(SwapStage::Pinning { epoch: 4 });
    assert_eq!(waiting.join().unwrap(), SwapStage::Pinning { epoch: 4 });
    ticket.advance(SwapStage::Kept { epoch: 6 });
    ticket.advance(SwapStage::Queued);
    ticket.run_ends("the job has ended");
    assert_eq!(ticket.stage(), SwapStage::Kept { epoch: 6 });
}

#[test]
fn a_run_that_ends_refuses_what_had_not_flipped_and_undoes_what_had() {
    let before = ticket();
    before.advance(SwapStage::Pinning { epoch: 4 });
    before.run_ends("the job has failed: no space");
    let SwapStage::Refused { reason } = before.stage() else { panic!("{:?}", before.stage()) };
    assert!(reason.contains("no space") && reason.contains("nothing has changed"), "{reason}");

    let after = ticket();
    after.advance(SwapStage::Trial { epoch: 5, since_ms: 1 });
    after.run_ends("the job has ended");
    let SwapStage::RollingBack { reason } = after.stage() else { panic!("{:?}", after.stage()) };
    assert!(reason.contains("the component that it names"), "{reason}");
}
