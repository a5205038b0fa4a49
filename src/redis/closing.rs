//! How the owner of a task tells it to end.

use tokio::sync::watch;

/// How much of an end the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Closing {
    No,
    Gracefully,
    AtOnce,
}

/// Asks for an end; never for less of one than before.
pub(crate) fn raise(closing: &watch::Sender<Closing>, to: Closing) {
    closing.send_if_modified(|closing| {
        let raised = *closing < to;
        if raised {
            *closing = to;
        }
        raised
    });
}

/// Resolves when the owner wants more of an end than it was `told`; also when no owner is left.
pub(crate) async fn closing(closing: &mut watch::Receiver<Closing>, told: Closing) -> Closing {
    match closing.wait_for(|closing| *closing > told).await {
        Ok(closing) => *closing,
        Err(_) => Closing::AtOnce,
    }
}
