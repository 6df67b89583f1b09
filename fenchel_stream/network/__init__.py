"""The paper: lifted networks and the steps that train them."""
