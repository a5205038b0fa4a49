//! The names of workers in an engine. They say where a worker runs, for operators.
//!
//! `web-7:4123:00c0ffee00c0ffee#1`: the host, the process, what tells workers of one process apart, and the
//! lane. Each lane has claims of its own, and so a name of its own.

/// The longest host in a name, in bytes.
const MAX_HOST: usize = 64;

/// The name of a worker that runs in a process of this host.
pub fn worker_name(host: &str, pid: u32) -> String {
    let is_kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let host: String = host.chars().filter(is_kept).take(MAX_HOST).collect();
    format!("{host}:{pid}:{:016x}", fastrand::u64(..))
}

/// The name of a lane of a worker.
pub(super) fn lane_name(worker: &str, lane: usize) -> String {
    format!("{worker}#{lane}")
}

/// The worker of a lane.
pub(super) fn worker_of(lane: &str) -> &str {
    lane.rsplit_once('#').map_or(lane, |(worker, _)| worker)
}

/// The host that a worker's name tells. Older workers have names without one.
pub(super) fn host_of(worker: &str) -> Option<&str> {
    let (host, rest) = worker.split_once(':')?;
    let (pid, _) = rest.split_once(':')?;
    pid.parse::<u32>().ok().map(|_| host).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_host_and_names_of_lanes_the_worker() {
        let worker = worker_name("web-7.local", 4123);
        assert!(worker.starts_with("web-7.local:4123:"));
        assert_ne!(worker, worker_name("web-7.local", 4123));
        let lane = lane_name(&worker, 1);
        assert_eq!((worker_of(&lane), host_of(&worker)), (&*worker, Some("web-7.local")));
    }

    #[test]
    fn whatever_a_host_is_called_a_name_stays_short_and_can_be_read() {
        let worker = worker_name(&format!("a:b#c d\u{e9}\n{}", "x".repeat(500)), 1);
        assert!(worker.len() < 100 && worker.starts_with("abcdx"));
        assert_eq!(host_of(&worker_name("", 1)), None);
    }

    #[test]
    fn the_name_of_an_older_worker_is_that_of_its_lane() {
        let old = "0123456789abcdef0123456789abcdef";
        assert_eq!((worker_of(old), host_of(old)), (old, None));
    }
}
