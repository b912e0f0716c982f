//! Who may connect, and who may be pushed to: counts connections and clients, overall and by address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::{CONNECTIONS_PER_ADDRESS_RESERVE, Limits};
use super::metrics::{Metrics, Transport};

/// Counts against the limits.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    metrics: Arc<Metrics>,
    clients: Mutex<Counts>,
    connections: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Only addresses that have some stand here, so that the table is as long as there are some.
    by_address: HashMap<IpAddr, usize>,
}

/// The place of one client, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    network: IpAddr,
    transport: Transport,
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    network: IpAddr,
}

impl Counts {
    /// Takes one place of so many, if one is left.
    fn take(&mut self, network: IpAddr, all_max: usize, here_max: usize) -> bool {
        let here = self.by_address.get(&network).copied().unwrap_or(0);
        if self.all >= all_max || here >= here_max {
            return false;
        }
        self.all += 1;
        self.by_address.insert(network, here + 1);
        true
    }

    fn give_back(&mut self, network: IpAddr) {
        self.all -= 1;
        if let Some(here) = self.by_address.get_mut(&network) {
            *here -= 1;
            if *here == 0 {
                self.by_address.remove(&network);
            }
        }
    }
}

impl Admission {
    pub(crate) fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Admission {
            limits,
            metrics,
            clients: Mutex::default(),
            connections: Mutex::default(),
        }
    }

    /// A place for one more client; `None` when there is none.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, transport: Transport) -> Option<Permit> {
        let network = network(address);
        let limits = &self.limits;
        if !lock(&self.clients).take(network, limits.clients_max, limits.clients_per_address_max) {
            self.metrics.clients_refused.inc();
            return None;
        }
        self.metrics.clients(transport).inc();
        Some(Permit {
            admission: self.clone(),
            network,
            transport,
        })
    }

    /// A place for one more connection; `None` when its address has too many. How many there are of all, the listener decides.
    pub(crate) fn connect(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = network(address);
        let here_max = self
            .limits
            .clients_per_address_max
            .saturating_add(CONNECTIONS_PER_ADDRESS_RESERVE);
        if !lock(&self.connections).take(network, usize::MAX, here_max) {
            self.metrics.connections_refused.inc();
            return None;
        }
        self.metrics.connections.inc();
        Some(Place {
            admission: self.clone(),
            network,
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
        lock(&self.admission.clients).give_back(self.network);
        self.admission.metrics.clients(self.transport).dec();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.admission.connections).give_back(self.network);
        self.admission.metrics.connections.dec();
    }
}

/// Nothing panics while the lock is held.
fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
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
            ..Limits::default()
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
        let counts = admission.clients.lock().unwrap();
        assert_eq!((counts.all, counts.by_address.len()), (0, 0));
    }
}
