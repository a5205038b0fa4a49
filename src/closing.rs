//! How the owner of a task tells it to end.

use tokio::sync::watch;

/// How much of an end the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Closing {
    No,
    Gracefully,
    AtOnce,
}

/// Asks for an end. A later request may ask for a faster end, not for a slower one.
pub(crate) fn raise(closing: &watch::Sender<Closing>, to: Closing) {
    closing.send_if_modified(|closing| {
        let raised = *closing < to;
        if raised {
            *closing = to;
        }
        raised
    });
}

/// Resolves when the owner asks for a faster end than the `known` one, or is gone.
pub(crate) async fn requested(closing: &mut watch::Receiver<Closing>, known: Closing) -> Closing {
    match closing.wait_for(|closing| *closing > known).await {
        Ok(closing) => *closing,
        Err(_) => Closing::AtOnce,
    }
}
