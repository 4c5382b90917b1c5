//! How people sign in: by a browser on this machine, or by one on any other.

pub mod browser;
pub mod callback;
pub mod device;
pub mod kept;

mod id_token;
mod pkce;
