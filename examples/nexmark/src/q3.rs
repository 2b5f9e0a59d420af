//! q3, local item suggestion: who sells in three states, and which auctions?
//!
//! A join of two inputs on the same key. Whichever side comes first waits for the other one in the key's state.

use statehouse::prelude::*;

use crate::event::{Auction, Person};

/// Suggests auctions of this category ...
const CATEGORY: u64 = 10;
/// ... by people of these states.
const STATES: [&str; 3] = ["or", "id", "ca"];

/// An auction and who sells.
#[derive(Serialize, Deserialize)]
pub struct LocalItem {
    name: String,
    city: String,
    state: String,
    auction: u64,
}

/// What a person is remembered by.
#[derive(Clone, Serialize, Deserialize)]
struct Seller {
    name: String,
    city: String,
    state: String,
}

/// Keyed by seller.
pub struct LocalItems {
    seller: ValueState<Seller>,
    /// Auctions whose seller has not come yet.
    waiting: ListState<u64>,
    items: Output<Json<LocalItem>>,
}

impl Operator for LocalItems {
    const NAME: &str = "q3";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("people", Self::on_person);
        setup.keyed_input("auctions", Self::on_auction);
        LocalItems {
            seller: setup.value("seller"),
            waiting: setup.list("waiting"),
            items: setup.output("items"),
        }
    }
}

impl LocalItems {
    fn on_person(&mut self, person: Record<u64, Person>) -> Result<()> {
        let Person { name, city, state, .. } = person.value;
        let seller = Seller { name, city, state };
        for auction in self.waiting.get() {
            self.suggest(&seller, auction)?;
        }
        self.waiting.clear();
        self.seller.set(seller);
        Ok(())
    }

    fn on_auction(&mut self, auction: Record<u64, Auction>) -> Result<()> {
        if auction.value.category != CATEGORY {
            return Ok(());
        }
        match self.seller.get() {
            Some(seller) => self.suggest(&seller, auction.value.id),
            None => {
                self.waiting.add(&auction.value.id);
                Ok(())
            }
        }
    }

    fn suggest(&self, seller: &Seller, auction: u64) -> Result<()> {
        if !STATES.contains(&&*seller.state) {
            return Ok(());
        }
        let Seller { name, city, state } = seller.clone();
        self.items.emit(&Json(LocalItem { name, city, state, auction }))
    }
}
