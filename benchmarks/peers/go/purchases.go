package main

// The same contract and the same decision as peers/purchases.py. Amounts are in minor units.

type Customer struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type Item struct {
	SKU       string `json:"sku"`
	Quantity  int    `json:"quantity"`
	UnitPrice int    `json:"unit_price"`
}

type PurchaseCreated struct {
	PurchaseID   string   `json:"purchase_id"`
	Customer     Customer `json:"customer"`
	Items        []Item   `json:"items"`
	Total        int      `json:"total"`
	Currency     string   `json:"currency"`
	PaymentToken string   `json:"payment_token"`
	PlacedAt     string   `json:"placed_at"`
}

type OrderValidated struct {
	PurchaseID   string   `json:"purchase_id"`
	Customer     Customer `json:"customer"`
	Items        []Item   `json:"items"`
	Total        int      `json:"total"`
	Currency     string   `json:"currency"`
	PaymentToken string   `json:"payment_token"`
}

type OrderRejected struct {
	PurchaseID string   `json:"purchase_id"`
	Customer   Customer `json:"customer"`
	Reasons    []string `json:"reasons"`
}

// decide accepts a sound purchase; otherwise it rejects it with every reason found.
func decide(purchase *PurchaseCreated) (string, any) {
	var reasons []string
	sum := 0
	for _, item := range purchase.Items {
		if item.Quantity <= 0 || item.UnitPrice <= 0 {
			reasons = append(reasons, item.SKU+": quantity and price must be positive")
		}
		sum += item.Quantity * item.UnitPrice
	}
	if sum != purchase.Total {
		reasons = append(reasons, "the items do not add up to the total")
	}
	if len(reasons) > 0 {
		return "orders.rejected", &OrderRejected{purchase.PurchaseID, purchase.Customer, reasons}
	}
	return "orders.validated", &OrderValidated{
		purchase.PurchaseID, purchase.Customer, purchase.Items,
		purchase.Total, purchase.Currency, purchase.PaymentToken,
	}
}
