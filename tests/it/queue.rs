//! The queue's contract, sentence by sentence, on both back ends.

macro_rules! on_both_back_ends {
    ($($sentence:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $sentence() {
                super::$sentence(crate::queue::backend::Backend::sqlite()).await;
            })*
        }
        mod firestore {
            $(#[tokio::test]
            async fn $sentence() {
                super::$sentence(crate::queue::backend::Backend::firestore()).await;
            })*
        }
    };
}

pub(crate) mod backend;
mod contract;
mod firestore {
    mod limits;
    mod original_documents;
}
mod overview;
mod parts;
mod progress;
mod writers;
