//! The queue's contract, sentence by sentence, on both back ends.

pub(crate) mod backend;
mod contract;
mod firestore {
    mod clocks;
    mod limits;
    mod original_documents;
}
mod outages;
mod overview;
mod parts;
mod progress;
mod sqlite {
    mod disk;
    mod file;
}
pub(crate) mod unreadable;
mod writers;
