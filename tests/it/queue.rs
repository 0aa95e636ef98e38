//! The queue's contract, sentence by sentence, on both back ends.

pub(crate) mod backend;
mod contract;
mod original_documents;
