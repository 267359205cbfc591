//! Nodes whose every connection to each other goes through a proxy.
//!
//! Knows no chaos of its own. Invariant: a node tells others the address of its proxy and no other, so that what the
//! proxies carry is all that nodes say to each other.

use super::Network;
use super::process::Daemon;
use super::proxy::{Chaos, Proxy};

/// See the module.
pub(super) struct Coast {
    pub(super) network: Network,
    /// Where other nodes dial each node.
    pub(super) between: Vec<Proxy>,
    seed: u64,
}

impl Coast {
    /// Connected nodes.
    pub(super) fn start(count: usize, seed: u64) -> Self {
        Self::start_with(count, seed, &[])
    }

    /// All with these options.
    pub(super) fn start_with(count: usize, seed: u64, options: &[&str]) -> Self {
        let proxy = Proxy::start(seed);
        let advertised = proxy.address().to_string();
        let options_of_first = [&["--advertise", &advertised], options].concat();
        let network = Network::alone_with(&options_of_first);
        proxy.lead_to(network.nodes[0].address);
        let mut coast = Self { network, between: vec![proxy], seed };
        for _ in 1..count {
            coast.join(options);
        }
        coast.network.wait_connected();
        coast
    }

    /// Starts a further node, and does not wait until it is connected.
    pub(super) fn join(&mut self, options: &[&str]) {
        let node = self.between.len();
        let proxy = Proxy::start(self.seed ^ node as u64);
        let (advertised, ticket) = (proxy.address().to_string(), self.network.ticket());
        let own = ["--join", ticket.to_str().unwrap(), "--advertise", &advertised];
        let data = self.network.path(&format!("node{node}"));
        let daemon = Daemon::start(&data, "127.0.0.1:0", &[&own, options].concat());
        proxy.lead_to(daemon.address);
        self.network.nodes.push(daemon);
        self.between.push(proxy);
    }

    /// The same everywhere, in both directions.
    pub(super) fn set(&self, chaos: Chaos) {
        for proxy in &self.between {
            proxy.set_both(chaos);
        }
    }

    /// Bytes that nodes have sent to each other.
    pub(super) fn carried(&self) -> u64 {
        self.between.iter().map(Proxy::carried).sum()
    }
}
