//! The admin API, in process: a whole node in a temporary directory and its real listener, without a target.

mod access;
mod approvals;
mod outside;
mod replay;
mod windows;
mod world;
