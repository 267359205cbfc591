//! The simulator: nodes, their network, their disks and their time, all driven by one seed.

mod client;
mod comparison;
mod conditions;
mod disk;
mod dripping;
mod floods;
mod future;
mod hostile;
mod latecomers;
mod pages;
mod permits;
mod promises;
mod raw;
mod refusals;
mod remains;
mod replication;
mod rest;
mod rumours;
mod short;
mod stopping;
mod strain;
mod swarm;
mod sweep;
mod twins;
mod world;
