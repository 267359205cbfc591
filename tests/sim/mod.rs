//! The simulator: nodes, their network, their disks and their time, all driven by one seed.

mod chaos;
mod client;
mod disk;
mod hostile;
mod load;
mod promises;
mod raw;
mod replication;
mod strain;
mod swarm;
mod world;
