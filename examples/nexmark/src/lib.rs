//! Twelve queries of Nexmark, the auction benchmark, as operators.
//!
//! `keys` says by what the events are keyed for each query; every query has a file of its own. README.md has a table
//! of the queries and of what each one shows.

mod event;
mod keys;
mod q11;
mod q12;
mod q17;
mod q18;
mod q19;
mod q20;
mod q3;
mod q4;
mod q5;
mod q7;
mod q8;
mod q9;
#[cfg(test)]
mod tests;

statehouse::export!(
    keys::Sellers,
    keys::Auctions,
    keys::BidsByAuction,
    keys::BidsByBidder,
    keys::BidsByPair,
    q3::LocalItems,
    q4::CategoryPrices,
    q5::BidCounts,
    q5::HotItems,
    q7::HighestOfAuction,
    q7::HighestBids,
    q8::NewSellers,
    q9::WinningBids,
    q11::UserSessions,
    q12::UserWindows,
    q17::AuctionStatistics,
    q18::LastBids,
    q19::TopBids,
    q20::ExpandedBids,
);
