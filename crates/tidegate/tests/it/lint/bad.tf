resource "tidegate_listener" "public" {
  name    = "public"
  address = "0.0.0.0:80"
}

resource "tidegate_consumer" "shop" {
  name = "shop"
  keys = [{ sha256 = var.key_hash }]
}

resource "tidegate_provider" "gpt" {
  name   = "gpt"
  openai = { base_url = "http://models.example/v1" }
}

resource "tidegate_route" "open" {
  name   = "open"
  match  = { path = "/orders/{id}" }
  target = { upstream = "orders" }
}

resource "tidegate_route" "pages" {
  name  = "pages"
  match = { path = "/pages/{*rest}" }
  policies = [
    { auth_jwt = { keys = { file = "keys.json" } } },
    { auth_key = { query = "key" } },
    { cors = { origins = ["*"], credentials = true } },
    { access = { allow = ["0.0.0.0/0"] } },
  ]
  target = { upstream = "orders" }
}

resource "tidegate_route" "ai" {
  name   = "ai"
  match  = { path = "/v1/{*rest}" }
  target = { models = ["assistant"] }
}
