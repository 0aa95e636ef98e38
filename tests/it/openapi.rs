//! The description of the calls: it is what the service does.

mod client;
mod document;
mod fuzz;
mod page;
