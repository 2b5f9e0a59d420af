//! q4, average price for a category: what do auctions of each category sell for?
//!
//! The second half of the query: its input are the winning bids of q9, keyed by category. The average is kept as a sum
//! and a count, which is what an aggregating state is for.

use statehouse::prelude::*;

use crate::q9::WinningBid;

/// The average so far. Of several rows for a category the one with the most auctions counts.
#[derive(Serialize, Deserialize)]
pub struct CategoryPrice {
    category: u64,
    average: f64,
    auctions: u64,
}

/// A mean of prices and how many there were.
pub struct Average;

impl Aggregate for Average {
    type Input = u64;
    type Accumulator = (u64, u64);
    type Output = (f64, u64);

    fn add((sum, count): &mut (u64, u64), price: &u64) {
        *sum += price;
        *count += 1;
    }

    fn merge((sum, count): &mut (u64, u64), (other_sum, other_count): &(u64, u64)) {
        *sum += other_sum;
        *count += other_count;
    }

    fn result((sum, count): &(u64, u64)) -> (f64, u64) {
        (*sum as f64 / *count as f64, *count)
    }
}

/// Keyed by category.
pub struct CategoryPrices {
    prices: AggregatingState<Average>,
    averages: Output<Json<CategoryPrice>>,
}

impl Operator for CategoryPrices {
    const NAME: &str = "q4";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("winners", Self::on_winner);
        CategoryPrices { prices: setup.aggregating("prices"), averages: setup.output("averages") }
    }
}

impl CategoryPrices {
    fn on_winner(&mut self, winner: Record<u64, Json<WinningBid>>) -> Result<()> {
        self.prices.add(&winner.value.0.price);
        let Some((average, auctions)) = self.prices.get() else { return Ok(()) };
        self.averages.emit(&Json(CategoryPrice { category: winner.key, average, auctions }))
    }
}
