//! Somebody else's program that takes a member's port the moment the member lets go of it, so that it cannot start again.
//!
//! Why: a start that fails must be had for certain. A damaged binary does not do: it is found before its member stops.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Longer than any test waits for its member's stop.
const LIMIT: Duration = Duration::from_secs(280);
/// Far below the time between a member's stop and its start.
const EVERY: Duration = Duration::from_micros(200);

/// Takes the port, and holds it until dropped.
pub struct Squatter {
    leave: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Squatter {
    /// Waits for the port of this address (`http://127.0.0.1:15001`) in a thread of its own.
    pub fn waits_for(url: &str) -> Self {
        let address = url.split("://").last().unwrap_or(url).trim_end_matches('/').to_owned();
        let leave = Arc::new(AtomicBool::new(false));
        let told = leave.clone();
        let thread = std::thread::spawn(move || {
            let began = Instant::now();
            let mut held = None;
            while !told.load(Ordering::SeqCst) && began.elapsed() < LIMIT {
                if held.is_none() {
                    held = TcpListener::bind(&address).ok();
                }
                std::thread::park_timeout(EVERY);
            }
        });
        Self { leave, thread: Some(thread) }
    }
}

impl Drop for Squatter {
    fn drop(&mut self) {
        self.leave.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked holds no port either.
            let _ = thread.join();
        }
    }
}
