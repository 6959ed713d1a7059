"""Run the sandbox of the payment gateway."""

from shop.sandbox_gateway import main

if __name__ == "__main__":
    main()
