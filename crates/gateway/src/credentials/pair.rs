//! A user and its password, and for how long they may be used.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::secret::Secret;

use super::locked;
use super::openbao::{Server, Token};

/// What a source gave.
pub(super) struct Found {
    pub(super) user: Option<Arc<str>>,
    pub(super) password: Secret<String>,
    /// Until when it may be used for logging in; `None` means for the login that it was asked for.
    pub(super) until: Option<Instant>,
    pub(super) lease: Option<Lease>,
}

impl Found {
    /// A password alone, for one login.
    pub(super) const fn password(password: Secret<String>) -> Self {
        Self { user: None, password, until: None, lease: None }
    }
}

/// What has to be renewed, and given back.
pub(super) struct Lease {
    /// Its id at the server.
    pub(super) id: String,
    /// Where it is.
    pub(super) server: Arc<Server>,
    /// The token that it was taken with, and ends with.
    pub(super) token: Arc<Token>,
    /// For how long it was given.
    pub(super) given: Duration,
    /// Whether the server renews it at all.
    pub(super) is_renewable: bool,
}

/// A user and its password, which several sessions may use.
pub(super) struct Pair {
    user: Option<Arc<str>>,
    password: Secret<String>,
    pub(super) lease: Option<Lease>,
    state: Mutex<State>,
}

struct State {
    until: Option<Instant>,
    renew_at: Option<Instant>,
    users: usize,
    /// No login uses it any more; sessions that do go on.
    closed: bool,
}

/// What is due with a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// It is used, and ends soon otherwise.
    Renewal,
    /// Nobody uses it.
    Return,
    /// It is over.
    Over,
}

/// The part of its time that is left when a lease is over for new logins, so that none is begun with what ends meanwhile.
const MARGIN: u32 = 10;

impl Pair {
    pub(super) fn new(found: Found) -> Self {
        let now = Instant::now();
        let renew_at = found.lease.as_ref().map(|lease| now + lease.given / 2);
        let state = State { until: found.until, renew_at, users: 0, closed: false };
        Self { user: found.user, password: found.password, lease: found.lease, state: Mutex::new(state) }
    }

    pub(super) const fn is_leased(&self) -> bool {
        self.lease.is_some()
    }

    pub(super) fn has_end(&self) -> bool {
        locked(&self.state).until.is_some()
    }

    /// When it ends: by itself, or with the token that it was taken with.
    fn end(&self, state: &State) -> Option<Instant> {
        let of_token = self.lease.as_ref().and_then(|lease| lease.token.end());
        [state.until, of_token].into_iter().flatten().min()
    }

    /// What is due with its lease now. Whoever is told to return it does so: nobody begins to use it any more.
    pub(super) fn due(&self, now: Instant) -> Due {
        let mut state = locked(&self.state);
        if self.end(&state).is_some_and(|end| end <= now) {
            return Due::Over;
        }
        let is_due = state.renew_at.is_some_and(|at| at <= now);
        match state.users {
            0 if state.closed || is_due => {
                state.closed = true;
                Due::Return
            }
            0 => Due::Nothing,
            _ if is_due => Due::Renewal,
            _ => Due::Nothing,
        }
    }

    /// It was renewed: it holds for so long from now. If that is much shorter than it was given for, its end is near, and
    /// logins need another one.
    pub(super) fn renewed(&self, now: Instant, held: Duration) {
        let mut state = locked(&self.state);
        let given = self.lease.as_ref().map_or(held, |lease| lease.given);
        state.until = Some(now + held);
        if held < given / 2 {
            state.closed = true;
            state.renew_at = None;
        } else {
            state.renew_at = Some(now + held / 2);
        }
    }

    /// It cannot be renewed: sessions go on with it until it ends, and logins need another one.
    pub(super) fn cannot_be_renewed(&self) {
        let mut state = locked(&self.state);
        (state.closed, state.renew_at) = (true, None);
    }

    /// It could not be renewed now.
    pub(super) fn renew_again(&self, at: Instant) {
        locked(&self.state).renew_at = Some(at);
    }

    /// No login uses it any more.
    pub(super) fn close(&self) {
        locked(&self.state).closed = true;
    }
}

/// A pair in use. It is held for as long as what logged in with it lives.
pub(crate) struct Use(Arc<Pair>);

impl Use {
    /// Begins to use a pair, unless it is over for that.
    pub(super) fn of(pair: &Arc<Pair>) -> Option<Self> {
        let now = Instant::now();
        let mut state = locked(&pair.state);
        let margin = pair.lease.as_ref().map_or(Duration::ZERO, |lease| lease.given / MARGIN);
        let is_over = pair.end(&state).is_some_and(|end| end.saturating_duration_since(now) <= margin);
        if state.closed || is_over {
            return None;
        }
        state.users = state.users.saturating_add(1);
        drop(state);
        Some(Self(Arc::clone(pair)))
    }

    /// Uses what nobody else does.
    pub(super) fn unleased(found: Found) -> Self {
        let pair = Pair::new(found);
        locked(&pair.state).users = 1;
        Self(Arc::new(pair))
    }

    /// What has to be held for as long as the session lives: a lease is renewed meanwhile, and anything else is not needed any
    /// more once it is logged in.
    pub(crate) fn lasting(self) -> Option<Self> {
        self.0.is_leased().then_some(self)
    }

    /// The password.
    pub(crate) fn password(&self) -> &Secret<String> {
        &self.0.password
    }

    /// Whether it is the password of the other.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.0.password.expose() == other.0.password.expose()
    }

    /// Whose it is, where its source says so.
    pub(crate) fn user(&self) -> Option<&Arc<str>> {
        self.0.user.as_ref()
    }

    /// Until when it may be used, where its source says so, or the target refused it.
    pub(crate) fn is_good(&self) -> bool {
        let state = locked(&self.0.state);
        !state.closed && self.0.end(&state).is_none_or(|end| Instant::now() < end)
    }

    /// The target refused it: no other login tries it.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut state = locked(&self.0.state);
        state.users = state.users.saturating_sub(1);
    }
}
