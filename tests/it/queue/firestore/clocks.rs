//! Instances whose clocks differ.

use chrono::TimeDelta;

use crate::queue::backend::{Backend, claim, ids, put_id};

#[tokio::test]
async fn the_order_of_arrival_is_firestores_whatever_the_instances_clocks_say() {
    let backend = Backend::firestore();
    let (ahead, behind) = (backend.open().await, backend.open().await);
    ahead.pass(TimeDelta::minutes(10));
    behind.pass(TimeDelta::minutes(-10));
    let forms = ["f-0", "f-1", "f-2", "f-3", "f-4", "f-5"];
    for (form, queue) in forms.into_iter().zip([&ahead, &behind].into_iter().cycle()) {
        put_id(queue, form).await;
    }
    assert_eq!(ids(&claim(&behind, forms.len()).await), forms);
}
