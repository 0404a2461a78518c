"""Create, list, get and delete an item by the client of openapi-python-client."""

import sys
from typing import get_type_hints

from shop_client import Client
from shop_client.api.items import create_item, delete_item, get_item, list_items

client = Client(base_url=sys.argv[1])

# The name of the model follows the framework.
new = get_type_hints(create_item.sync)["body"].from_dict({"name": "Generated"})
item = create_item.sync(client=client, body=new)
assert item.name == "Generated"
assert item.created_at.tzinfo

page = list_items.sync(client=client, limit=1, **({"after": item.id - 1} if item.id > 1 else {}))
assert page.items[0].to_dict() == item.to_dict()
assert get_item.sync(id=item.id, client=client).to_dict() == item.to_dict()
assert delete_item.sync_detailed(id=item.id, client=client).status_code == 204
missing = get_item.sync_detailed(id=item.id, client=client)
assert missing.status_code == 404
assert missing.parsed.detail
