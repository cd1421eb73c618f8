"""What a recurrent network is: cells, their equations, how they are put together."""
