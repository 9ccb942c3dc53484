"""The console: the pages that `ateneo serve` shows at `/`, on the services that the API is made of."""
