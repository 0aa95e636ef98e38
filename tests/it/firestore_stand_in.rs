//! The Firestore stand-in, driven by the real client.
