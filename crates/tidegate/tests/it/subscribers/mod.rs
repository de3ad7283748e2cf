//! Subscribers through the program: real receivers on loopback, a real journal, processes that are killed.

mod drift;
mod example;
mod gateways;
mod guide;
mod jobs;
mod killed;
mod order;
mod people;
mod support;
mod targets;
mod webhook;
