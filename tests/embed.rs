//! A program that embeds a node stores and reads plaintext through a gateway: no socket, no thread, no file.

use dfsd::client::{Answer, ClientError, Entropy, Event, Meta, Operation};
use dfsd::conn::ConnKeys;
use dfsd::crypto::data::DataKeys;
use dfsd::crypto::keys::{NetworkKey, NodeKey, RootKey, WriteKey};
use dfsd::gateway::Gateway;
use dfsd::keyring::{Access, grant};
use dfsd::node::{Action, Node};
use dfsd::server::work::execute;
use dfsd::server::{Loading, Setup};
use dfsd::store::fs::SimFs;
use dfsd::store::{self, Disk};
use dfsd::time::{Instant, Now};

const NOW: Now = Now { instant: Instant(1), wall_ms: 1_795_305_600_000 };

struct Embedded {
    node: Node,
    disk: Disk<SimFs>,
    fs: SimFs,
    gateway: Gateway,
}

fn access() -> Access {
    let root = RootKey::generate(&[1; 32]);
    let network = NetworkKey::generate(&[2; 32], &root);
    let sign = WriteKey::generate(&[3; 32]);
    let grant = grant::grant(&root, &sign.public(), 1_000);
    let data = Some(DataKeys::generate(&[4; 32]));
    Access { network, data, write: Some(WriteKey { sign, grant }) }
}

impl Embedded {
    fn start() -> Self {
        let access = access();
        let key = NodeKey::generate(&[5; 32]);
        let fs = SimFs::new();
        let root = access.network.root;
        let mut loading = Loading::new(root, [7; 16]);
        let opened = store::open(fs.clone(), store::Config::default(), [6; 16], |found| {
            loading.found(found);
        });
        let (disk, recovered) = opened.unwrap();
        let keys = ConnKeys::new(&access.network, &key);
        let setup = Setup {
            node: key.node_id(),
            verify_key: key.verify_key(),
            root,
            addresses: Vec::new(),
            grants: Vec::new(),
            memory: 8 * 1024 * 1024,
            peers: Vec::new(),
            remembered: Vec::new(),
            presence: dfsd::keyring::presence::presence(&key, &[], 1),
            seed: 7,
            boot: 8,
        };
        let mut node = Node::new(keys, setup, (loading, &recovered), NOW);
        let entropy = Entropy { key: [9; 32], handshake: [10; 32] };
        let gateway = Gateway::open(&mut node, access, (&entropy, [11; 32]), NOW).unwrap();
        Self { node, disk, fs, gateway }
    }

    /// The program's loop: jobs are done at once, bytes are moved, timers are kept.
    fn turn(&mut self) {
        self.gateway.pump(&mut self.node, NOW).unwrap();
        while let Some(action) = self.node.poll_action() {
            if let Action::Job(job) = action {
                self.node.done(NOW, execute(&self.disk, job));
            }
        }
        let later = Now { instant: Instant(1_000_000), ..NOW };
        self.node.handle_timeout(later);
    }

    fn run(
        &mut self,
        operation: Operation,
        input: &[u8],
    ) -> (Vec<u8>, Result<Answer, ClientError>) {
        let op = self.gateway.start(NOW, operation);
        let (mut output, mut fed) = (Vec::new(), 0);
        for _ in 0..100_000 {
            while let Some(event) = self.gateway.poll_event() {
                match event {
                    Event::NeedData { .. } if fed == input.len() => self.gateway.feed_end(op),
                    Event::NeedData { .. } => fed += self.gateway.feed(op, &input[fed..]),
                    Event::Data { bytes, .. } => output.extend_from_slice(&bytes),
                    Event::Finished { result, .. } => return (output, result),
                    _ => {}
                }
            }
            self.turn();
        }
        panic!("the operation never ended");
    }
}

#[test]
fn plaintext_goes_in_and_comes_out_and_ciphertext_is_kept() {
    let mut embedded = Embedded::start();
    for size in [0, 1, 40_000, 5 * 1024 * 1024 + 1] {
        let secret = b"a planted plaintext that nobody may read; ";
        let plain: Vec<u8> = secret.iter().copied().cycle().take(size).collect();
        let name = format!("file of {size}").into_bytes();
        let meta = Meta { name: name.clone(), ..Meta::default() };
        let (_, put) = embedded.run(Operation::Put { meta, only_if_absent: false }, &plain);
        assert!(matches!(put, Ok(Answer::Put { copies: 1, .. })), "{put:?}");
        let (output, got) = embedded.run(Operation::Get { name: name.clone() }, &[]);
        assert!(matches!(got, Ok(Answer::Got(_))), "{got:?}");
        assert!(output == plain, "{size} bytes came back otherwise");
        let (_, deleted) = embedded.run(Operation::Delete { name: name.clone() }, &[]);
        assert!(matches!(deleted, Ok(Answer::Deleted { .. })), "{deleted:?}");
        let (_, gone) = embedded.run(Operation::Get { name }, &[]);
        assert_eq!(gone.err(), Some(ClientError::NotFound));
    }
    assert!(!embedded.fs.paths("blocks").is_empty());
}
