//! q12, processing time windows: how many bids does a user make every 10 seconds of the host's clock?
//!
//! The only query whose answer depends on when it is asked. A window that is open when the job stops is closed when it
//! is resumed.

use std::time::Duration;

use statehouse::prelude::*;

use crate::event::Bid;
use crate::q5::Count;

/// A bidder's bids in one window.
#[derive(Serialize, Deserialize)]
pub struct UserWindow {
    bidder: u64,
    bids: u64,
    window_start: i64,
    window_end: i64,
}

/// Keyed by bidder.
pub struct UserWindows {
    bids: Windowed<Count>,
    windows: Output<Json<UserWindow>>,
}

impl Operator for UserWindows {
    const NAME: &str = "q12";

    fn new(setup: &mut Setup<Self>) -> Self {
        let size = setup.config_duration("window", Duration::from_secs(10));
        setup.keyed_input("bids", Self::on_bid);
        let windows = Windows::tumbling(size).processing_time();
        UserWindows {
            bids: setup.windows("bids", windows, Self::on_window),
            windows: setup.output("windows"),
        }
    }
}

impl UserWindows {
    fn on_bid(&mut self, _: Record<u64, Bid>) -> Result<()> {
        if !self.bids.add(&()) {
            bail!("no record is late by the host's clock");
        }
        Ok(())
    }

    fn on_window(&mut self, window: Window<u64, u64>) -> Result<()> {
        let Window { key: bidder, start, end, result: bids, .. } = window;
        self.windows.emit(&Json(UserWindow { bidder, bids, window_start: start, window_end: end }))
    }
}
