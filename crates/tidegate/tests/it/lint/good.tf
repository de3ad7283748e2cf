resource "tidegate_listener" "public" {
  name    = "public"
  address = "0.0.0.0:8443"
  tls = {
    minimum      = "1.3"
    certificates = [{ chain = "tls/api.pem", key = "tls/api.key" }]
  }
}

resource "tidegate_listener" "local" {
  name    = "local"
  address = "127.0.0.1:8080"
}

resource "tidegate_consumer" "shop" {
  name = "shop"
  keys = [{ sha256 = var.key_hash, expires = "2099-01-01" }]
}

resource "tidegate_provider" "gpt" {
  name   = "gpt"
  openai = { base_url = "https://api.openai.com/v1", credentials = [{ env = "OPENAI_API_KEY" }] }
}

resource "tidegate_route" "orders" {
  name  = "orders"
  match = { path = "/orders/{id}" }
  policies = [
    { auth_jwt = { keys = { file = "keys.json" }, issuer = "https://id.example", audiences = ["orders"] } },
    { cors = { origins = ["https://shop.example"], credentials = true } },
  ]
  target = { upstream = "orders" }
}

resource "tidegate_route" "ai" {
  name     = "ai"
  match    = { path = "/v1/{*rest}" }
  policies = [{ auth_key = {} }, { limit = { rate = "10/s" } }]
  target   = { models = ["assistant"] }
}

resource "tidegate_route" "office" {
  name     = "office"
  match    = { path = "/office/{*rest}" }
  policies = [{ access = { allow = ["10.0.0.0/8"] } }]
  target   = { upstream = "office" }
}
