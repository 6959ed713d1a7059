"""Run the sandbox of the mail server."""

from shop.sandbox_mail import main

if __name__ == "__main__":
    main()
