//! Bounded channels between tasks: lock-free, with a wake-up for whoever waits on the other side.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::sync::Unparker;

/// A bounded channel with one producer and one consumer, either of which may be a parked thread.
pub(crate) fn bounded<T>(
    capacity: usize,
    producer: Unparker,
    consumer: Unparker,
) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared { queue: ArrayQueue::new(capacity), producer, consumer });
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

#[derive(Debug)]
struct Shared<T> {
    queue: ArrayQueue<T>,
    producer: Unparker,
    consumer: Unparker,
}

/// The sending end. Clones send to the same channel; the order between clones is not defined.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Sender<T> {
    /// Sends, or gives the item back if there is no room.
    pub(crate) fn try_send(&self, item: T) -> Result<(), T> {
        self.shared.queue.push(item)?;
        self.shared.consumer.unpark();
        Ok(())
    }
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// The next item, if there is one.
    pub(crate) fn try_receive(&self) -> Option<T> {
        let item = self.shared.queue.pop()?;
        self.shared.producer.unpark();
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_utils::sync::Parker;

    use super::*;

    #[test]
    fn a_full_channel_gives_the_item_back_and_order_is_kept() {
        let parker = Parker::new();
        let (tx, rx) = bounded(2, parker.unparker().clone(), parker.unparker().clone());
        assert_eq!(tx.try_send(1), Ok(()));
        assert_eq!(tx.try_send(2), Ok(()));
        assert_eq!(tx.try_send(3), Err(3));
        assert_eq!(rx.try_receive(), Some(1));
        assert_eq!(tx.try_send(3), Ok(()));
        assert_eq!(
            [rx.try_receive(), rx.try_receive(), rx.try_receive()],
            [Some(2), Some(3), None]
        );
    }
}
