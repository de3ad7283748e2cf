//! Calls to models, through traffic: see the cassettes for recorded exchanges.
