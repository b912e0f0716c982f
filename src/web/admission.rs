//! Who may be pushed to: counts clients, overall and by address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::limits::Limits;
use super::metrics::{Metrics, Transport};

/// Counts clients against the limits.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    metrics: Arc<Metrics>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    clients: usize,
    /// Only addresses with clients stand here, so the table has as many entries as there are clients at most.
    by_address: HashMap<IpAddr, usize>,
}

/// The place of one client, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    network: IpAddr,
    transport: Transport,
}

impl Admission {
    pub(crate) fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Admission {
            limits,
            metrics,
            counts: Mutex::default(),
        }
    }

    /// A place for one more client; `None` when there is none.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, transport: Transport) -> Option<Permit> {
        let network = network(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let here = counts.by_address.get(&network).copied().unwrap_or(0);
        if counts.clients >= self.limits.clients_max || here >= self.limits.clients_per_address_max
        {
            self.metrics.clients_refused.inc();
            return None;
        }
        counts.clients += 1;
        counts.by_address.insert(network, here + 1);
        self.metrics.clients(transport).inc();
        Some(Permit {
            admission: self.clone(),
            network,
            transport,
        })
    }
}

impl Permit {
    /// How its client is pushed to.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let admission = &self.admission;
        let mut counts = admission
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counts.clients -= 1;
        if let Some(here) = counts.by_address.get_mut(&self.network) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&self.network);
            }
        }
        admission.metrics.clients(self.transport).dec();
    }
}

/// What counts as one address: of IPv6 the network of 64 bits, because that is what one household is given.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(clients_max: usize, clients_per_address_max: usize) -> Arc<Admission> {
        let limits = Limits {
            clients_max,
            clients_per_address_max,
        };
        Arc::new(Admission::new(limits, Arc::new(Metrics::default())))
    }

    #[test]
    fn an_address_gets_its_share_and_gives_it_back() {
        let admission = admission(10, 2);
        let admit = |address: &str| admission.admit(address.parse().unwrap(), Transport::Websocket);
        let first = admit("192.0.2.1");
        let second = admit("::ffff:192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some());
        drop(first);
        assert!(admit("192.0.2.1").is_some());
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let admission = admission(10, 1);
        let admit = |address: &str| admission.admit(address.parse().unwrap(), Transport::Sse);
        let held = admit("2001:db8::1");
        assert!(held.is_some());
        assert!(admit("2001:db8::ffff:1").is_none());
        assert!(admit("2001:db8:0:1::1").is_some());
    }

    #[test]
    fn all_together_have_a_limit_and_nothing_is_left_behind() {
        let admission = admission(2, 2);
        let held: Vec<_> = ["192.0.2.1", "192.0.2.2"]
            .map(|address| admission.admit(address.parse().unwrap(), Transport::LongPoll))
            .into();
        assert!(
            admission
                .admit("192.0.2.3".parse().unwrap(), Transport::Sse)
                .is_none()
        );
        drop(held);
        let counts = admission.counts.lock().unwrap();
        assert_eq!((counts.clients, counts.by_address.len()), (0, 0));
    }
}
