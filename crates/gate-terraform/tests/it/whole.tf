resource "tidegate_upstream" "orders" {
  name      = "orders"
  endpoints = ["10.0.0.1:80", "10.0.0.2:80"]
  weights   = { "10.0.0.1:80" = 3 }
  balance   = { ring_hash = { by = { header = "x-user" } } }
  health    = { http = { path = "/healthz", interval = "5s" } }
  timeouts  = { connect = "60s" }
}

resource "tidegate_consumer" "shop" {
  name = "shop"
  keys = [{ key = "not a real key", limits = { requests = "100/s" } }]
}

resource "tidegate_provider" "local" {
  name       = "local"
  compatible = { base_url = "http://127.0.0.1:1/v1", credential = { header = "x-key" }, credentials = [{ env = "KEY" }] }
}

resource "tidegate_model" "assistant" {
  name     = "assistant"
  strategy = { lowest_latency = { explore = "5%" } }
  targets  = [{ provider = tidegate_provider.local.name, model = "m", weight = 2 }]
}

resource "tidegate_budget" "shop" {
  name  = "shop"
  of    = { consumer = tidegate_consumer.shop.name }
  limit = { usd = "12.50" }
  per   = "month"
  warn  = ["80%"]
}

resource "tidegate_price" "m" {
  name    = "local/m"
  entries = [{ per_million = { input = "1.5", output = "2" } }]
}

resource "tidegate_route" "orders" {
  name = "orders"
  match = {
    host    = "api.example.com"
    path    = "/orders/{id}"
    headers = { x-version = { equals = "2" } }
  }
  policies = [
    { auth_key = {} },
    { limit = { by = "consumer", rate = "100/s" }, when = "request.method == 'POST'" },
  ]
  target = { upstream = tidegate_upstream.orders.name }
}

resource "tidegate_route" "ai" {
  name   = "ai"
  match  = { path = "/v1/{*rest}" }
  target = { models = [tidegate_model.assistant.name] }
}
