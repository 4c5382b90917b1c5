//! What came from a peer and has not gone on yet.
//!
//! The library calls back for each message, on the task that serves a whole connection, and grants a peer new window as soon
//! as something has come, not when it has gone on. So nothing here keeps that task waiting for long, and memory stays bounded
//! all the same:
//!
//! - of a client's connection the window is taken away while one of its channels is [`Queue::is_congested`]
//!   ([`window`]): it may send two bytes at a time then, each after [`TRICKLE`], and the first of them after the queue is
//!   short again restores its window;
//! - a target's connection carries one channel, so that its task may wait ([`Queue::room`]).
//!
//! A peer that sends more than its window allows is cut off at [`MOST`].

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// The window that a peer is granted on each channel, in bytes: as much as OpenSSH grants.
pub(super) const WINDOW: u32 = 2 * 1024 * 1024;

/// The window of a client with a channel that is congested: the least that lets it say that it has more.
const CLOSED: u32 = 2;

/// How long a client waits between two such messages.
pub(super) const TRICKLE: Duration = Duration::from_millis(5);

/// From how many bytes on a queue is congested.
const HIGH: usize = 1024 * 1024;

/// How many bytes of a queue a peer can cause that keeps to its window: one that is congested when its window was just
/// restored, and another that was granted before the queue became so.
const MOST: usize = HIGH + 4 * 1024 * 1024;

/// What each item takes beside its bytes: a peer that sends single bytes fills memory no further.
const ITEM: usize = 64;

/// The window of a connection from now on.
pub(super) const fn window(is_congested: bool) -> u32 {
    if is_congested { CLOSED } else { WINDOW }
}

/// Whether a message came through a window that is closed.
pub(super) const fn is_trickle(length: usize) -> bool {
    length <= 2
}

/// What has a size in a queue.
pub(super) trait Measured {
    /// Bytes of content.
    fn size(&self) -> usize;
}

/// What came and has not gone on, in order.
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    came: Notify,
    went: Notify,
}

struct Inner<T> {
    items: VecDeque<T>,
    bytes: usize,
    is_over: bool,
}

/// The peer sent more than its window allows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl<T: Measured> Queue<T> {
    /// One that is empty.
    pub(super) fn new() -> Self {
        let inner = Inner { items: VecDeque::new(), bytes: 0, is_over: false };
        Self { inner: Mutex::new(inner), came: Notify::new(), went: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something at its end; nothing, once it is over.
    ///
    /// # Errors
    /// If the peer cannot have been allowed to send so much.
    pub(super) fn push(&self, item: T) -> Result<(), Overflow> {
        let mut inner = self.lock();
        if inner.is_over {
            return Ok(());
        }
        inner.bytes = inner.bytes.saturating_add(item.size()).saturating_add(ITEM);
        if inner.bytes > MOST {
            return Err(Overflow);
        }
        inner.items.push_back(item);
        drop(inner);
        self.came.notify_one();
        Ok(())
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.lock().is_over = true;
        self.came.notify_one();
        self.went.notify_one();
    }

    /// Takes the first, waiting until there is one; `None` when nothing more comes. Cancel safe.
    pub(super) async fn pop(&self) -> Option<T> {
        loop {
            {
                let mut inner = self.lock();
                if let Some(item) = inner.items.pop_front() {
                    inner.bytes = inner.bytes.saturating_sub(item.size()).saturating_sub(ITEM);
                    let has_room = inner.bytes < HIGH;
                    drop(inner);
                    if has_room {
                        self.went.notify_one();
                    }
                    return Some(item);
                }
                if inner.is_over {
                    return None;
                }
            }
            self.came.notified().await;
        }
    }

    /// Takes the first if it is there and is one of those that are wanted.
    pub(super) fn pop_if(&self, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut inner = self.lock();
        let item = inner.items.pop_front_if(|item| is_wanted(item))?;
        inner.bytes = inner.bytes.saturating_sub(item.size()).saturating_sub(ITEM);
        let has_room = inner.bytes < HIGH;
        drop(inner);
        if has_room {
            self.went.notify_one();
        }
        Some(item)
    }

    /// Whether one of those that wait is looked for.
    pub(super) fn holds(&self, is_it: impl FnMut(&T) -> bool) -> bool {
        self.lock().items.iter().any(is_it)
    }

    /// Whether more waits than should.
    pub(super) fn is_congested(&self) -> bool {
        let inner = self.lock();
        !inner.is_over && inner.bytes >= HIGH
    }

    /// Waits until less waits than may. Cancel safe.
    pub(super) async fn room(&self) {
        while self.is_congested() {
            self.went.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Measured for Vec<u8> {
        fn size(&self) -> usize {
            self.len()
        }
    }

    #[tokio::test]
    async fn what_came_goes_on_in_order_and_then_it_is_over() {
        let queue = Queue::new();
        queue.push(vec![1]).unwrap();
        queue.push(vec![2]).unwrap();
        queue.close();
        queue.push(vec![3]).unwrap();
        assert_eq!((queue.pop().await, queue.pop().await, queue.pop().await), (Some(vec![1]), Some(vec![2]), None));
    }

    #[tokio::test]
    async fn a_full_queue_has_room_again_when_something_went() {
        let queue = Queue::new();
        queue.push(vec![0; HIGH]).unwrap();
        assert!(queue.is_congested());
        let (_, popped) = tokio::join!(queue.room(), queue.pop());
        assert_eq!(popped.map(|item| item.len()), Some(HIGH));
        assert!(!queue.is_congested());
    }

    #[test]
    fn who_ignores_the_window_is_found_out_also_with_single_bytes() {
        let queue = Queue::new();
        let pushed = (0..MOST).find(|_| queue.push(vec![0]).is_err());
        assert_eq!(pushed, Some(MOST / (1 + ITEM)));
        let queue = Queue::new();
        assert_eq!(queue.push(vec![0; MOST + 1]), Err(Overflow));
    }
}
