//! A Firestore stand-in that speaks gRPC to the real client.
