# One API in two environments. Each workspace is an environment; what differs between them are its
# variables, so that what was tried in staging is what production gets.

terraform {
  required_providers {
    tidegate = { source = "tidegate/tidegate" }
  }
}

variable "server" {
  description = "Where a gateway's admin API answers."
  default     = "http://127.0.0.1:9901"
}

variable "orders" {
  description = "The version of the orders service that the route uses."
  default     = "v1"
}

variable "canary" {
  description = "The rollout that a change goes through; none for the first one."
  default     = null
}

provider "tidegate" {
  server      = var.server
  environment = terraform.workspace
  canary      = var.canary
  message     = "orders ${var.orders}"
}

resource "tidegate_listener" "public" {
  name    = "public"
  address = "$${vars.PUBLIC}"
}

resource "tidegate_upstream" "orders" {
  for_each  = toset(["v1", "v2", "v3"])
  name      = "orders-${each.key}"
  endpoints = ["$${vars.ORDERS_${upper(each.key)}}"]
}

resource "tidegate_route" "orders" {
  name     = "orders"
  match    = { path = "/orders/{*rest}" }
  policies = [{ limit = { by = "address", rate = "1000/s" } }]
  target   = { upstream = tidegate_upstream.orders[var.orders].name }
}

# A hundredth of the requests first, then more as the evidence allows; back by itself otherwise.
resource "tidegate_rollout" "careful" {
  name          = "careful"
  steps         = ["10 %", "50 %"]
  step_minimum  = "1s"
  step_patience = "1m"
  undecided     = "roll_back"
}
