//! q11, user sessions: how many bids does a user make before pausing for 10 seconds?

use std::time::Duration;

use statehouse::prelude::*;

use crate::event::Bid;
use crate::q5::Count;

const GAP: Duration = Duration::from_secs(10);

/// A session of one bidder.
#[derive(Serialize, Deserialize)]
pub struct UserSession {
    bidder: u64,
    bids: u64,
    session_start: i64,
    /// The gap after the last bid.
    session_end: i64,
}

/// Keyed by bidder.
pub struct UserSessions {
    bids: Windowed<Count>,
    late: Counter,
    sessions: Output<Json<UserSession>>,
}

impl Operator for UserSessions {
    const NAME: &str = "q11";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("bids", Self::on_bid);
        UserSessions {
            bids: setup.windows("bids", Windows::session(GAP), Self::on_session),
            late: setup.counter("late_bids"),
            sessions: setup.output("sessions"),
        }
    }
}

impl UserSessions {
    fn on_bid(&mut self, _: Record<u64, Bid>) -> Result<()> {
        if !self.bids.add(&()) {
            self.late.add(1);
        }
        Ok(())
    }

    fn on_session(&mut self, session: Window<u64, u64>) -> Result<()> {
        let Window { key: bidder, start, end, result: bids, .. } = session;
        self.sessions.emit(&Json(UserSession {
            bidder,
            bids,
            session_start: start,
            session_end: end,
        }))
    }
}
