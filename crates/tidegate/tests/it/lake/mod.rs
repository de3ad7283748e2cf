//! Questions to lakes: in a folder, of a gateway that runs, and as the guide has them.

mod folder;
mod gateway;
mod products;
